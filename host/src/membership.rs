//! The node's place in the network (protocol 3): registers its enclave, pledges the stake, and hands
//! the seed to newcomers, each when L1 shows that it is wanting. Looks at every L1 block anew, so that
//! nothing has to be remembered across restarts or reorganisations. Not here: what is in a
//! registration (the enclave's) and fees (`publisher`).

use crate::{
    enclave::{AskError, Enclave, Records, ask},
    l1::{L1Client, L1Error, feed::Followed},
    publisher::{Content, PublishError, Publisher, Purpose},
    stop::Stop,
    storage::{Storage, StorageError},
};
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, SolValue, sol};
use obscuro_protocol::{
    config::NetworkConfig,
    door::{Head, Reply, Request, SeedShare},
    l1::{
        IERC20::{allowanceCall, approveCall},
        INetworkManagement::{
            registerCall, registrationFeeCall, setHostAddressCall, shareSeedCall,
        },
        Registration,
    },
};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::watch;
use tracing::{info, warn};

/// L1 blocks after which something sent that L1 does not show is sent again.
const PATIENCE_BLOCKS: u64 = 6;

sol! {
    /// What `NetworkManagement` stores of a node.
    struct RegisteredNode {
        address owner;
        uint40 registeredAt;
        uint40 leftAt;
        bool holdsSeed;
        uint256 stake;
        bytes32 encryptionKeyHash;
        bytes32 measurement;
        string hostAddress;
    }

    /// Reads it.
    function node(address enclave) external view returns (RegisteredNode memory);
}

/// Something could not be done at this L1 block. It is tried again at the next one.
#[derive(Debug, thiserror::Error)]
enum MembershipError {
    #[error(transparent)]
    Enclave(#[from] AskError),
    #[error(transparent)]
    L1(#[from] L1Error),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("L1 answered a call with {0} bytes that do not decode")]
    Answer(usize),
}

/// What membership works with.
pub struct Membership {
    /// The enclave to register.
    pub enclave: Arc<dyn Enclave>,
    /// Its store.
    pub storage: Arc<Storage>,
    /// The L1.
    pub l1: Arc<L1Client>,
    /// Who sends.
    pub publisher: Publisher,
    /// The network.
    pub config: NetworkConfig,
    /// The L1 account that owns the node.
    pub owner: Address,
    /// OBX to pledge; zero for a verifier.
    pub stake: U256,
    /// Where peers reach this node.
    pub host_address: String,
    /// Whether this node creates the network if there is none.
    pub genesis: bool,
    /// Where the enclave stands.
    pub followed: watch::Receiver<Option<Followed>>,
    /// The end.
    pub stop: Stop,
}

/// What was sent, and at which L1 block.
#[derive(Default)]
struct Sent {
    approval: Option<u64>,
    registration: Option<u64>,
    address: Option<u64>,
    /// Whether L1 gives peers the right address.
    is_found: bool,
    shares: HashMap<Address, u64>,
    /// Said once, not at every block.
    complaint: String,
}

impl Membership {
    /// Looks after membership until told to stop.
    pub async fn run(mut self) {
        let mut sent = Sent::default();
        let stop = self.stop.clone();
        let work = async {
            while self.followed.changed().await.is_ok() {
                let followed = self.followed.borrow_and_update().clone();
                let Some(followed) = followed.filter(|followed| followed.is_synced) else {
                    continue;
                };
                let result = self.look(&followed, &mut sent).await;
                let complaint = result.err().map_or_else(String::new, |error| error.to_string());
                if !complaint.is_empty() && complaint != sent.complaint {
                    warn!("membership: {complaint}");
                }
                sent.complaint = complaint;
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.requested() => {}
        }
    }

    async fn look(&self, followed: &Followed, sent: &mut Sent) -> Result<(), MembershipError> {
        let head = &followed.head;
        if !head.is_registered {
            return self.join(head, sent).await;
        }
        sent.registration = None;
        self.move_house(followed, sent).await?;
        if head.seed_shares_due {
            self.share_seed(followed, sent).await?;
        }
        Ok(())
    }

    /// Corrects the address that L1 gives to peers, once after each start.
    async fn move_house(
        &self,
        followed: &Followed,
        sent: &mut Sent,
    ) -> Result<(), MembershipError> {
        let now = followed.head.l1.number;
        if sent.is_found || self.host_address.is_empty() || !is_due(sent.address, now) {
            return Ok(());
        }
        let contract = self.config.contracts.networkManagement;
        let call = nodeCall { enclave: followed.enclave }.abi_encode();
        let answer = self.l1.call(contract, call.into()).await?;
        let registered = nodeCall::abi_decode_returns(&answer)
            .map_err(|_| MembershipError::Answer(answer.len()))?;
        sent.is_found = registered.hostAddress == self.host_address;
        if sent.is_found {
            return Ok(());
        }
        let call = setHostAddressCall {
            enclave: followed.enclave,
            hostAddress: self.host_address.clone(),
        };
        self.send(Purpose::Move, contract, call.abi_encode(), U256::ZERO).await?;
        sent.address = Some(now);
        info!(address = self.host_address, "telling L1 where peers reach this node");
        Ok(())
    }

    async fn join(&self, head: &Head, sent: &mut Sent) -> Result<(), MembershipError> {
        let now = head.l1.number;
        if !self.stake.is_zero() && self.allowance().await? < self.stake {
            if is_due(sent.approval, now) {
                self.approve().await?;
                sent.approval = Some(now);
            }
            return Ok(());
        }
        let network_exists = !head.network_key.is_empty();
        if !network_exists && !self.genesis || !is_due(sent.registration, now) {
            return Ok(());
        }
        self.register(head, self.genesis && !network_exists).await?;
        sent.registration = Some(now);
        Ok(())
    }

    async fn allowance(&self) -> Result<U256, MembershipError> {
        let spender = self.config.contracts.networkManagement;
        let call = allowanceCall { owner: self.owner, spender };
        self.number(self.config.contracts.obscuroToken, call.abi_encode()).await
    }

    async fn number(&self, to: Address, input: Vec<u8>) -> Result<U256, MembershipError> {
        let answer = self.l1.call(to, input.into()).await?;
        U256::abi_decode(&answer).map_err(|_| MembershipError::Answer(answer.len()))
    }

    async fn approve(&self) -> Result<(), MembershipError> {
        let spender = self.config.contracts.networkManagement;
        let input = approveCall { spender, amount: self.stake }.abi_encode();
        self.send(Purpose::Approve, self.config.contracts.obscuroToken, input, U256::ZERO).await
    }

    async fn register(&self, head: &Head, genesis: bool) -> Result<(), MembershipError> {
        let contract = self.config.contracts.networkManagement;
        let fee = self.number(contract, registrationFeeCall {}.abi_encode()).await?;
        let request = Request::Register { owner: self.owner, l1_block: head.l1.clone(), genesis };
        let Reply::Registration(made) = self.ask(request).await? else {
            return Err(AskError::OutOfTurn.into());
        };
        // Kept before L1 knows of it: a seed that only the enclave's memory holds is lost with it.
        self.storage.keep_identity(&made.identity)?;
        let registration = Registration {
            quote: made.quote,
            enclave: made.enclave,
            encryptionKey: made.encryption_key,
            hostAddress: self.host_address.clone(),
            stake: self.stake,
            l1Block: head.l1.number,
            networkKey: made.network_key,
            encryptedSeed: made.encrypted_seed,
        };
        let input = registerCall { registration }.abi_encode();
        self.send(Purpose::Register, contract, input, fee).await?;
        info!(enclave = %made.enclave, genesis, "registering the enclave on L1");
        Ok(())
    }

    /// Answers newcomers, each answer delayed by this node's rank, unless another was faster.
    async fn share_seed(
        &self,
        followed: &Followed,
        sent: &mut Sent,
    ) -> Result<(), MembershipError> {
        let now = followed.head.l1.number;
        let Reply::SeedShares(shares) = self.ask(Request::SeedShares).await? else {
            return Err(AskError::OutOfTurn.into());
        };
        sent.shares.retain(|enclave, _| shares.iter().any(|share| share.enclave == *enclave));
        for share in shares {
            let is_turn = now >= share.registered.saturating_add(share.rank);
            if is_turn && is_due(sent.shares.get(&share.enclave).copied(), now) {
                let enclave = share.enclave;
                self.send_share(followed.enclave, share).await?;
                sent.shares.insert(enclave, now);
                info!(%enclave, "handing the seed to a newcomer");
            }
        }
        Ok(())
    }

    async fn send_share(
        &self,
        responder: Address,
        share: SeedShare,
    ) -> Result<(), MembershipError> {
        let call = shareSeedCall {
            enclave: share.enclave,
            responder,
            encryptedSeed: share.encrypted_seed,
            signature: share.signature,
        };
        let contract = self.config.contracts.networkManagement;
        let purpose = Purpose::ShareSeed(share.enclave);
        self.send(purpose, contract, call.abi_encode(), U256::ZERO).await
    }

    async fn ask(&self, request: Request) -> Result<Reply, AskError> {
        let records: Arc<dyn Records> = self.storage.clone();
        ask(&self.enclave, &records, request).await
    }

    async fn send(
        &self,
        purpose: Purpose,
        to: Address,
        input: Vec<u8>,
        value: U256,
    ) -> Result<(), MembershipError> {
        let content = Content::Call { to, input: Bytes::from(input), value };
        self.publisher.send(purpose, content).await?;
        Ok(())
    }
}

/// Whether something is to be sent at L1 block `now`, for the first time or again.
fn is_due(sent: Option<u64>, now: u64) -> bool {
    // A reorganisation may have taken L1 back.
    sent.is_none_or(|sent| now < sent || now - sent >= PATIENCE_BLOCKS)
}
