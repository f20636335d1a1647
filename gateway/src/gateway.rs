//! Starting and stopping a gateway. Not here: what it answers (`rpc`).

use crate::{
    accounts::{Accounts, AccountsError},
    chain::Chain,
    clock::L1Clock,
    network_key,
    node::{Follower, Node, NodeUrlError},
    rpc::{self, Context, Filters, Receipts},
    sealed::Sealed,
};
use alloy_primitives::Bytes;
use alloy_provider::RootProvider;
use alloy_signer_local::PrivateKeySigner;
use jsonrpsee::server::ServerHandle;
use obscuro_protocol::{config::NetworkConfig, keys::kem_public_key};
use std::{net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::task::JoinHandle;

/// What a gateway needs to know.
pub struct GatewayOptions {
    /// Where to listen; port 0 chooses one.
    pub listen: SocketAddr,
    /// A node's JSON-RPC, `http://host:port`.
    pub node_url: String,
    /// The network.
    pub config: NetworkConfig,
    /// The network's public key, to which every request is encrypted. The caller takes it from L1
    /// (`NetworkKeyPublished`) and never from the node: a node that could name the key would name
    /// one of its own and read everything.
    pub network_key: Vec<u8>,
    /// The L1 node, which is trusted, where newer keys are read: a seed epoch brings one. Without it
    /// the gateway stops working two epochs later.
    pub l1: Option<RootProvider>,
    /// Where the viewing key and the accounts' authorisations are kept, readable by this user only;
    /// without it they are forgotten when the gateway stops.
    pub data_dir: Option<PathBuf>,
    /// Accounts for which the gateway authorises its viewing key itself: those of a development
    /// network.
    pub unlocked: Vec<PrivateKeySigner>,
    /// Web origins, as `https://app.example`, whose pages may use this gateway in addition to pages
    /// served from this machine and browser extensions; `*` for any. A page that may use it sees
    /// what its accounts see.
    pub origins: Vec<String>,
}

/// A gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The network key is not one.
    #[error("the network key is malformed: take it from NetworkManagement on L1")]
    NetworkKey,
    /// The node's address is not one.
    #[error(transparent)]
    NodeUrl(#[from] NodeUrlError),
    /// The viewing key cannot be read, made or kept.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The address is taken or not this machine's.
    #[error("cannot listen on {0}: {1}; choose another gateway address or port")]
    Listen(SocketAddr, std::io::Error),
    /// A method is registered twice: a defect of this program.
    #[error("RPC methods clash: {0}")]
    Methods(#[from] jsonrpsee::core::RegisterMethodError),
}

/// A running gateway; dropping it stops the gateway.
#[derive(Debug)]
pub struct GatewayHandle {
    /// Where it listens, HTTP and WebSocket.
    pub addr: SocketAddr,
    server: ServerHandle,
    tasks: Vec<JoinHandle<()>>,
}

impl GatewayHandle {
    /// Stops, and waits until no connection is left.
    pub async fn stop(self) {
        // It fails only when the server has stopped already.
        let _ = self.server.stop();
        self.server.clone().stopped().await;
    }
}

impl Drop for GatewayHandle {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Starts a gateway. The node need not be reachable yet.
pub async fn start(options: GatewayOptions) -> Result<GatewayHandle, GatewayError> {
    let parsed = kem_public_key(&options.network_key).ok_or(GatewayError::NetworkKey)?;
    let network_key = (Bytes::from(options.network_key), parsed);
    let config = Arc::new(options.config);
    let clock = Arc::new(L1Clock::default());
    let accounts =
        Arc::new(Accounts::open(&config, options.data_dir.as_deref(), options.unlocked)?);
    let (node, dispatcher) = Node::new(&options.node_url)?;
    let chain = Arc::new(Chain::new(&config));
    let sealed = Sealed::new(network_key, &config, accounts.clone(), clock.clone(), node.clone());
    let sealed = Arc::new(sealed);
    let follower = Follower::new(node.clone(), chain.clone(), clock.clone());
    let mut tasks = vec![tokio::spawn(follower.clone().run()), dispatcher];
    if let Some(l1) = options.l1 {
        tasks.push(tokio::spawn(network_key::follow(l1, config.clone(), sealed.clone())));
    }
    let context = Context {
        config,
        accounts,
        clock,
        chain,
        node,
        follower,
        sealed,
        filters: Filters::default(),
        receipts: Receipts::default(),
    };
    let (addr, server) = rpc::serve(options.listen, options.origins, context).await?;
    Ok(GatewayHandle { addr, server, tasks })
}
