//! The node's place in the network (protocol 3): registers its machine and its enclave, pledges the
//! stake, attests again in time, hands the seed to others and opens seed epochs, each when L1 shows that
//! it is wanting. Looks at every L1 block anew, so that
//! nothing has to be remembered across restarts or reorganisations. Not here: what is in a
//! registration (the enclave's), fees (`publisher`), and what is wanting (`steps`).

pub mod steps;

use crate::{
    enclave::{AskError, Enclave, Records, ask},
    l1::{L1Client, L1Error, feed::Followed},
    publisher::{Content, PublishError, Publisher, Purpose, revert},
    stop::Stop,
    storage::{Storage, StorageError},
};
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, SolValue};
use obscuro_protocol::{
    config::NetworkConfig,
    door::{Duty, Head, Reply, Request, SeedRejected, SeedShare},
    l1::{
        IAttestationVerifier::{registerAuthorityCall, registerPlatformCall},
        INetworkManagement::{
            openSeedEpochCall, reattestCall, registerCall, registrationFeeCall, rejectSeedCall,
            setHostAddressCall, shareSeedCall,
        },
        Registration,
    },
};
use std::sync::Arc;
use steps::{Join, Sent};
use tokio::sync::watch;
use tracing::{info, warn};

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
    #[error(
        "the enclave's quote carries {0} certificates instead of the machine's, its issuer's and the root"
    )]
    Certificates(usize),
    #[error("enclaves would not accept a fresh quote: {0}")]
    Unattestable(String),
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
        // What was sent for one enclave is not for another, as which it can return from a restart.
        let (mut enclave, mut sent) = (Address::ZERO, Sent::default());
        // Said once, not at every block.
        let mut said = String::new();
        let stop = self.stop.clone();
        let work = async {
            while self.followed.changed().await.is_ok() {
                let followed = self.followed.borrow_and_update().clone();
                let Some(followed) = followed.filter(|followed| followed.is_synced) else {
                    continue;
                };
                if enclave != followed.enclave {
                    (enclave, sent) = (followed.enclave, Sent::default());
                }
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
        // One that fails must not keep this node from the others.
        let mut outcome = self.move_house(followed, sent).await;
        for duty in sent.due(head) {
            let done = match duty {
                Duty::Attest => self.attest().await,
                Duty::OpenEpoch => self.open_epoch(head.l1.number, sent).await,
                Duty::RejectSeed => self.reject_seed().await,
                Duty::ShareSeed => self.share_seed(head.l1.number, sent).await,
            };
            if done.is_ok() {
                sent.duty(duty, head.l1.number);
            }
            outcome = outcome.and(done);
        }
        outcome
    }

    /// Corrects the address that L1 gives to peers.
    async fn move_house(
        &self,
        followed: &Followed,
        sent: &mut Sent,
    ) -> Result<(), MembershipError> {
        let head = &followed.head;
        if !sent.address_is_due(&self.host_address, head) {
            return Ok(());
        }
        let call = setHostAddressCall {
            enclave: followed.enclave,
            hostAddress: self.host_address.clone(),
        };
        self.call_network(Purpose::Move, call.abi_encode(), U256::ZERO).await?;
        sent.address(head.l1.number);
        info!(address = self.host_address, "telling L1 where peers reach this node");
        Ok(())
    }

    async fn join(&self, head: &Head, sent: &mut Sent) -> Result<(), MembershipError> {
        if let Join::Register { genesis } = sent.join(head, self.genesis)
            && self.register(head, genesis).await?
        {
            sent.registration(head.l1.number);
        }
        Ok(())
    }

    async fn number(&self, to: Address, input: Vec<u8>) -> Result<U256, MembershipError> {
        let answer = self.l1.call(to, input.into()).await?;
        U256::abi_decode(&answer).map_err(|_| MembershipError::Answer(answer.len()))
    }

    /// Registers the enclave, if L1 knows its machine; otherwise the machine. Whether the enclave is on
    /// its way.
    async fn register(&self, head: &Head, genesis: bool) -> Result<bool, MembershipError> {
        let contract = self.config.contracts.networkManagement;
        let fee = self.number(contract, registrationFeeCall {}.abi_encode()).await?;
        let request = Request::Register { owner: self.owner, l1_block: head.l1.clone(), genesis };
        let Reply::Registration(made) = self.ask(request).await? else {
            return Err(AskError::OutOfTurn.into());
        };
        // Kept before L1 knows of it: a seed that only the enclave's memory holds is lost with it.
        self.storage.keep_identity(&made.identity)?;
        if self.introduce(&made.certificates).await? {
            return Ok(false);
        }
        let registration = Registration {
            quote: made.quote,
            enclave: made.enclave,
            encryptionKey: made.encryption_key,
            lotteryKey: made.lottery_key,
            hostAddress: self.host_address.clone(),
            stake: self.stake,
            l1Block: head.l1.number,
            networkKey: made.network_key,
            encryptedSeed: made.encrypted_seed,
        };
        let input = registerCall { registration }.abi_encode();
        self.call_network(Purpose::Register, input, fee).await?;
        info!(enclave = %made.enclave, genesis, "registering the enclave on L1");
        Ok(true)
    }

    /// Registers the machine's certificates (the machine's, its issuer's, the root) as far as L1 does
    /// not know them, or knows older ones. Whether anything had to be sent.
    async fn introduce(&self, certificates: &[Bytes]) -> Result<bool, MembershipError> {
        let [machine, issuer, _root] = certificates else {
            return Err(MembershipError::Certificates(certificates.len()));
        };
        let platform = registerPlatformCall { der: machine.clone() }.abi_encode();
        match self.would_succeed(platform.clone()).await? {
            Some(true) => {
                info!("registering this machine on L1");
                self.call_verifier(Purpose::RegisterPlatform, platform).await?;
                return Ok(true);
            }
            Some(false) => return Ok(false),
            None => {}
        }
        let authority = registerAuthorityCall { der: issuer.clone() }.abi_encode();
        if self.would_succeed(authority.clone()).await? == Some(true) {
            info!("registering the CA of this machine on L1");
            self.call_verifier(Purpose::RegisterAuthority, authority).await?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether `AttestationVerifier` would take this call, or has what it brings; `None` if it refuses
    /// it for another reason, which the registration will meet too and name.
    async fn would_succeed(&self, input: Vec<u8>) -> Result<Option<bool>, MembershipError> {
        match self.l1.call(self.config.contracts.attestationVerifier, input.into()).await {
            Ok(_) => Ok(Some(true)),
            Err(L1Error::Refused { data, .. }) => {
                Ok(revert::is_registered_already(&data).then_some(false))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn attest(&self) -> Result<(), MembershipError> {
        let Reply::Attestation(made) = self.ask(Request::Attest).await? else {
            return Err(AskError::OutOfTurn.into());
        };
        self.introduce(&made.certificates).await?;
        if let Some(reason) = made.refused {
            return Err(MembershipError::Unattestable(reason));
        }
        let call = reattestCall {
            enclave: made.enclave,
            quote: made.quote,
            keysHash: made.keys_hash,
            l1Block: made.l1_block,
        };
        self.call_network(Purpose::Attest, call.abi_encode(), U256::ZERO).await?;
        info!("attesting again on L1");
        Ok(())
    }

    /// Answers members that wait for the seed, each answer delayed by this node's rank, unless another
    /// was faster.
    async fn share_seed(&self, now: u64, sent: &mut Sent) -> Result<(), MembershipError> {
        let Reply::SeedShares(shares) = self.ask(Request::SeedShares).await? else {
            return Err(AskError::OutOfTurn.into());
        };
        for SeedShare { answer, .. } in sent.shares_due(shares, now) {
            let enclave = answer.enclave;
            let call = shareSeedCall {
                enclave,
                responder: answer.responder,
                epoch: answer.epoch,
                encryptedSeed: answer.encryptedSeed,
                signature: answer.signature,
            };
            let purpose = Purpose::ShareSeed(enclave);
            self.call_network(purpose, call.abi_encode(), U256::ZERO).await?;
            sent.share(enclave, now);
            info!(%enclave, "handing the seed to a newcomer");
        }
        Ok(())
    }

    async fn open_epoch(&self, now: u64, sent: &mut Sent) -> Result<(), MembershipError> {
        let Reply::EpochOpening(opening) = self.ask(Request::OpenEpoch).await? else {
            return Err(AskError::OutOfTurn.into());
        };
        if !Sent::is_turn(opening.since, opening.rank, now) {
            return Ok(());
        }
        info!(epoch = opening.epoch, shares = opening.shares.len(), "opening a seed epoch");
        let call = openSeedEpochCall {
            epoch: opening.epoch,
            responder: opening.responder,
            networkKey: opening.network_key,
            shares: opening.shares,
            signature: opening.signature,
        };
        self.call_network(Purpose::OpenEpoch, call.abi_encode(), U256::ZERO).await?;
        sent.epoch(now);
        Ok(())
    }

    async fn reject_seed(&self) -> Result<(), MembershipError> {
        let Reply::SeedRejected(SeedRejected { enclave, responder, epoch, signature }) =
            self.ask(Request::RejectSeed).await?
        else {
            return Err(AskError::OutOfTurn.into());
        };
        warn!(%responder, epoch, "what this enclave was given is not the network's seed: rejecting it");
        let call = rejectSeedCall { enclave, responder, epoch, signature };
        self.call_network(Purpose::RejectSeed, call.abi_encode(), U256::ZERO).await
    }

    async fn ask(&self, request: Request) -> Result<Reply, AskError> {
        let records: Arc<dyn Records> = self.storage.clone();
        ask(&self.enclave, &records, request).await
    }

    async fn call_network(
        &self,
        purpose: Purpose,
        input: Vec<u8>,
        value: U256,
    ) -> Result<(), MembershipError> {
        self.send(purpose, self.config.contracts.networkManagement, input, value).await
    }

    async fn call_verifier(&self, purpose: Purpose, input: Vec<u8>) -> Result<(), MembershipError> {
        let verifier = self.config.contracts.attestationVerifier;
        self.send(purpose, verifier, input, U256::ZERO).await
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
