//! The node's place in the network (protocol 3): registers its enclave, pledges the stake, and hands
//! the seed to newcomers, each when L1 shows that it is wanting. Looks at every L1 block anew, so that
//! nothing has to be remembered across restarts or reorganisations. Not here: what is in a
//! registration (the enclave's), fees (`publisher`), and what is wanting (`steps`).

pub mod steps;

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
use std::sync::Arc;
use steps::{Join, Sent};
use tokio::sync::watch;
use tracing::{info, warn};

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

impl Membership {
    /// Looks after membership until told to stop.
    pub async fn run(mut self) {
        let mut sent = Sent::default();
        // Said once, not at every block.
        let mut said = String::new();
        let stop = self.stop.clone();
        let work = async {
            while self.followed.changed().await.is_ok() {
                let followed = self.followed.borrow_and_update().clone();
                let Some(followed) = followed.filter(|followed| followed.is_synced) else {
                    continue;
                };
                let result = self.look(&followed, &mut sent).await;
                let complaint = result.err().map_or_else(String::new, |error| error.to_string());
                if !complaint.is_empty() && complaint != said {
                    warn!("membership: {complaint}");
                }
                said = complaint;
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
        sent.is_registered();
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
        if !sent.address_is_due(&self.host_address, now) {
            return Ok(());
        }
        let contract = self.config.contracts.networkManagement;
        let call = nodeCall { enclave: followed.enclave }.abi_encode();
        let answer = self.l1.call(contract, call.into()).await?;
        let registered = nodeCall::abi_decode_returns(&answer)
            .map_err(|_| MembershipError::Answer(answer.len()))?;
        if sent.address_is_right(registered.hostAddress == self.host_address) {
            return Ok(());
        }
        let call = setHostAddressCall {
            enclave: followed.enclave,
            hostAddress: self.host_address.clone(),
        };
        self.send(Purpose::Move, contract, call.abi_encode(), U256::ZERO).await?;
        sent.address(now);
        info!(address = self.host_address, "telling L1 where peers reach this node");
        Ok(())
    }

    async fn join(&self, head: &Head, sent: &mut Sent) -> Result<(), MembershipError> {
        let allowance = if self.stake.is_zero() { U256::ZERO } else { self.allowance().await? };
        match sent.join(head, self.stake, allowance, self.genesis) {
            Join::Wait => {}
            Join::Approve => {
                self.approve().await?;
                sent.approval(head.l1.number);
            }
            Join::Register { genesis } => {
                self.register(head, genesis).await?;
                sent.registration(head.l1.number);
            }
        }
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
        for share in sent.shares_due(shares, now) {
            let enclave = share.enclave;
            self.send_share(followed.enclave, share).await?;
            sent.share(enclave, now);
            info!(%enclave, "handing the seed to a newcomer");
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
