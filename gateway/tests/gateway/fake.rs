//! The node that the test plays.

use crate::ledger::Ledger;
use alloy_primitives::{Address, B256, Bytes, hex};
use getrandom::SysRng;
use jsonrpsee::{
    PendingSubscriptionSink, RpcModule,
    server::{Server, ServerConfig, ServerHandle},
    types::{ErrorObjectOwned, Params},
};
use obscuro_protocol::{
    config::NetworkConfig,
    envelope::{Received, SessionKeys},
    keys::{KemPrivateKey, kem_key_pair, kem_public_key_bytes},
    query::{Query, Reply, Request},
    rollup::RollupHeader,
    secret::Secret,
};
use parking_lot::Mutex;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use std::{collections::HashMap, net::SocketAddr, sync::Arc};
use tokio::sync::broadcast;

/// How the node treats envelopes.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Conduct {
    /// As it should.
    #[default]
    Honest,
    /// Returns the reply to the former request.
    Swaps,
    /// Returns these bytes.
    Returns(Vec<u8>),
    /// Flips a bit of the reply.
    Alters,
    /// Returns this instead of the list of replies.
    Answers(Value),
    /// Refuses envelopes.
    Refuses(i32, String),
    /// Says of lists that the replies are too large together.
    RefusesLists,
}

/// What the test looks at and changes.
pub struct Inside {
    pub ledger: Ledger,
    pub conduct: Conduct,
    /// Publishes a rollup after every transaction.
    pub instant: bool,
    /// Every byte that came, as text and decoded.
    pub seen: Vec<u8>,
    /// What was inside the envelopes, which only an enclave sees.
    pub asked: Vec<(Query, Vec<Address>)>,
    /// How many envelopes came in each call.
    pub batches: Vec<usize>,
    keys: HashMap<B256, Arc<SessionKeys>>,
    private_key: KemPrivateKey,
    former_reply: Bytes,
}

/// A node over a real socket.
pub struct FakeNode {
    pub addr: SocketAddr,
    pub network_key: Vec<u8>,
    pub inside: Arc<Mutex<Inside>>,
    heads: broadcast::Sender<RollupHeader>,
    server: ServerHandle,
}

struct Backend {
    inside: Arc<Mutex<Inside>>,
    heads: broadcast::Sender<RollupHeader>,
}

impl FakeNode {
    pub async fn start(config: NetworkConfig, now: u64) -> Self {
        let (private_key, public_key) = kem_key_pair(&Secret::new([7; 32]));
        let inside = Inside {
            ledger: Ledger::new(config, now),
            conduct: Conduct::Honest,
            instant: true,
            seen: Vec::new(),
            asked: Vec::new(),
            batches: Vec::new(),
            keys: HashMap::new(),
            private_key,
            former_reply: Bytes::new(),
        };
        let inside = Arc::new(Mutex::new(inside));
        let heads = broadcast::channel(64).0;
        let (addr, server) = serve(([127, 0, 0, 1], 0).into(), inside.clone(), heads.clone()).await;
        Self { addr, network_key: kem_public_key_bytes(&public_key), inside, heads, server }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Publishes a rollup.
    pub fn seal(&self) -> RollupHeader {
        self.seal_salted(0)
    }

    /// Publishes a rollup that differs from others by the salt.
    pub fn seal_salted(&self, salt: u64) -> RollupHeader {
        let header = self.inside.lock().ledger.seal(salt);
        let _ = self.heads.send(header.clone());
        header
    }

    /// Closes the socket.
    pub async fn stop(&mut self) {
        let _ = self.server.stop();
        self.server.clone().stopped().await;
    }

    /// Opens it again.
    pub async fn restart(&mut self) {
        let served = serve(self.addr, self.inside.clone(), self.heads.clone()).await;
        (self.addr, self.server) = served;
    }
}

async fn serve(
    listen: SocketAddr,
    inside: Arc<Mutex<Inside>>,
    heads: broadcast::Sender<RollupHeader>,
) -> (SocketAddr, ServerHandle) {
    let limits = ServerConfig::builder()
        .max_request_body_size(16 * 1024 * 1024)
        .max_response_body_size(64 * 1024 * 1024)
        .build();
    let server = Server::builder().set_config(limits).build(listen).await.unwrap();
    let addr = server.local_addr().unwrap();
    (addr, server.start(module(Backend { inside, heads })))
}

type Answer = Result<Value, ErrorObjectOwned>;

fn module(backend: Backend) -> RpcModule<Backend> {
    let mut module = RpcModule::new(backend);
    module.register_method("obscuro_envelope", |params, node, _| node.envelope(&params)).unwrap();
    module.register_method("obscuro_envelopes", |params, node, _| node.envelopes(&params)).unwrap();
    module.register_method("obscuro_rollup", |params, node, _| node.rollup(&params)).unwrap();
    module
        .register_subscription(
            "obscuro_subscribe",
            "obscuro_subscription",
            "obscuro_unsubscribe",
            |_, pending: PendingSubscriptionSink, node, _| async move {
                let mut heads = node.heads.subscribe();
                let Ok(sink) = pending.accept().await else {
                    return;
                };
                while let Ok(header) = heads.recv().await {
                    let message = serde_json::value::to_raw_value(&view(&header)).unwrap();
                    if sink.send(message).await.is_err() {
                        return;
                    }
                }
            },
        )
        .unwrap();
    module
}

fn view(header: &RollupHeader) -> Value {
    let mut view = json!(header);
    view["hash"] = json!(header.hash());
    view
}

impl Backend {
    fn rollup(&self, params: &Params<'_>) -> Answer {
        let inside = self.inside.lock();
        let (id,): (Value,) = params.parse()?;
        let found = match (&id, id.as_u64()) {
            (_, Some(number)) => inside.ledger.by_number(number),
            (id, None) if *id == "latest" => inside.ledger.head(),
            (id, None) => inside.ledger.by_hash(serde_json::from_value(id.clone()).unwrap()),
        };
        Ok(found.map(view).unwrap_or(Value::Null))
    }

    fn envelope(&self, params: &Params<'_>) -> Answer {
        let (envelope,): (Bytes,) = params.parse()?;
        let mut inside = self.inside.lock();
        inside.record(params, std::slice::from_ref(&envelope));
        if let Conduct::Answers(answer) = &inside.conduct {
            return Ok(answer.clone());
        }
        inside.reply(&envelope, &self.heads).map(|reply| json!(reply))
    }

    fn envelopes(&self, params: &Params<'_>) -> Answer {
        let (envelopes,): (Vec<Bytes>,) = params.parse()?;
        let mut inside = self.inside.lock();
        inside.record(params, &envelopes);
        match &inside.conduct {
            Conduct::Answers(answer) => return Ok(answer.clone()),
            Conduct::RefusesLists => {
                let refusal = json!({"code": -32_005, "message": "too large together"});
                return Ok(json!(vec![refusal; envelopes.len()]));
            }
            _ => {}
        }
        let entry = |envelope: &Bytes| match inside.reply(envelope, &self.heads) {
            Ok(reply) => json!(reply),
            Err(error) => json!({"code": error.code(), "message": error.message()}),
        };
        Ok(envelopes.iter().map(entry).collect())
    }
}

impl Inside {
    fn record(&mut self, params: &Params<'_>, envelopes: &[Bytes]) {
        self.batches.push(envelopes.len());
        self.seen.extend(params.as_str().unwrap_or_default().bytes());
        envelopes.iter().for_each(|envelope| self.seen.extend_from_slice(envelope));
    }

    fn reply(
        &mut self,
        envelope: &[u8],
        heads: &broadcast::Sender<RollupHeader>,
    ) -> Result<Bytes, ErrorObjectOwned> {
        match self.conduct.clone() {
            Conduct::Returns(bytes) => return Ok(bytes.into()),
            Conduct::Refuses(code, message) => {
                return Err(ErrorObjectOwned::owned(code, message, None::<()>));
            }
            _ => {}
        }
        let reply: Bytes = self.enclave(envelope, heads).into();
        let former = std::mem::replace(&mut self.former_reply, reply.clone());
        match self.conduct {
            Conduct::Swaps => Ok(former),
            Conduct::Alters => {
                let mut reply = reply.to_vec();
                let middle = reply.len() / 2;
                reply[middle] ^= 1;
                Ok(reply.into())
            }
            _ => Ok(reply),
        }
    }

    /// What happens where the host does not see it.
    fn enclave(&mut self, envelope: &[u8], heads: &broadcast::Sender<RollupHeader>) -> Vec<u8> {
        let received = Received::parse(envelope).expect("an envelope");
        let config_hash = self.ledger.config.hash();
        let private_key = &self.private_key;
        let keys = self.keys.entry(received.session()).or_insert_with(|| {
            let keys = SessionKeys::recover(private_key, config_hash, received.encapsulation());
            Arc::new(keys.expect("an encapsulation to the network key"))
        });
        let keys = keys.clone();
        let request = Request::decode(&keys.open(&received).expect("opens")).expect("decodes");
        let reply = self.answer(request, received.session());
        if self.instant && matches!(reply, Reply::Accepted(_)) {
            let _ = heads.send(self.ledger.seal(0));
        }
        keys.seal_reply(received.tag, &reply.encode(), &mut UnwrapErr(SysRng)).expect("seals")
    }

    fn answer(&mut self, request: Request, session: B256) -> Reply {
        let now = self.ledger.now;
        let config = &self.ledger.config;
        if !(now + 1..=now + 3_600).contains(&request.expires_at) {
            return Reply::Untimely { now };
        }
        match request.credentials.verify(session, config.hash(), config.l2ChainId, now) {
            Ok(accounts) => {
                self.asked.push((request.query.clone(), accounts.clone()));
                self.ledger.answer(request.query, &accounts)
            }
            Err(_) => Reply::Untimely { now },
        }
    }

    /// Whether these bytes came past the host, raw or in hex.
    pub fn saw(&self, secret: &[u8]) -> bool {
        let contains = |secret: &[u8]| self.seen.windows(secret.len()).any(|part| part == secret);
        contains(secret)
            || contains(hex::encode(secret).as_bytes())
            || contains(hex::encode_upper(secret).as_bytes())
    }
}
