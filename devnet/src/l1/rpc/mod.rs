//! JSON-RPC of the embedded L1: which methods there are, and how arguments reach them.
//!
//! One file per subject; `format` shows the chain's objects, `errors` words the refusals. Methods
//! that execute or verify something run on blocking threads, so that sockets stay served.

mod accounts;
mod blocks;
mod calls;
mod debug;
mod dev;
mod errors;
pub(super) mod format;
mod logs;
mod node;
mod subscriptions;
mod transactions;

use std::sync::Arc;

use jsonrpsee::{
    RpcModule,
    core::server::Methods,
    server::RegisterMethodError,
    types::{Params, params::ParamsSequence},
};
use serde::{Serialize, de::DeserializeOwned};

pub use subscriptions::SubscriptionIds;

use self::errors::Reply;
use super::server::Shared;

/// All methods.
pub(super) fn methods(shared: Arc<Shared>) -> Result<Methods, RegisterMethodError> {
    let mut table = Table(RpcModule::from_arc(shared));
    node::register(&mut table)?;
    blocks::register(&mut table)?;
    transactions::register(&mut table)?;
    accounts::register(&mut table)?;
    calls::register(&mut table)?;
    logs::register(&mut table)?;
    debug::register(&mut table)?;
    dev::register(&mut table)?;
    subscriptions::register(&mut table.0)?;
    Ok(table.0.into())
}

/// What went wrong while the methods were put together.
type Registered = Result<(), RegisterMethodError>;

/// The methods so far.
struct Table(RpcModule<Shared>);

impl Table {
    /// Adds a method that only looks something up.
    fn quick<R>(
        &mut self,
        name: &'static str,
        f: fn(&Shared, &mut Args<'_>) -> Reply<R>,
    ) -> Registered
    where
        R: Serialize + Clone + Send + 'static,
    {
        self.0
            .register_method(name, move |params, shared, _| f(shared, &mut Args::new(&params)))?;
        Ok(())
    }

    /// Adds a method that executes or verifies something.
    fn heavy<R>(
        &mut self,
        name: &'static str,
        f: fn(&Shared, &mut Args<'_>) -> Reply<R>,
    ) -> Registered
    where
        R: Serialize + Clone + Send + 'static,
    {
        self.0.register_blocking_method(name, move |params, shared, _| {
            f(&shared, &mut Args::new(&params))
        })?;
        Ok(())
    }
}

/// Positional arguments, read one after the other.
struct Args<'a>(ParamsSequence<'a>);

impl<'a> Args<'a> {
    fn new(params: &'a Params<'_>) -> Self {
        Self(params.sequence())
    }

    /// The next argument, which must be there.
    fn next<T: DeserializeOwned>(&mut self) -> Reply<T> {
        self.0.next()
    }

    /// The next argument, if there is one and it is not null.
    fn optional<T: DeserializeOwned>(&mut self) -> Reply<Option<T>> {
        self.0.optional_next()
    }
}
