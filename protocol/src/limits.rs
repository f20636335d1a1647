//! Every bound that two parties must agree on, in one place. Bounds of one module stay in it.

/// Largest signed user transaction, bytes (geth's pool limit).
pub const TRANSACTION_BYTES_MAX: usize = 128 * 1024;
/// Largest sealed user request or reply, bytes.
pub const ENVELOPE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest rollup payload, bytes: what one L1 transaction can carry under EIP-7825's gas cap at
/// EIP-7623's floor of 40 gas a byte.
pub const PAYLOAD_BYTES_MAX: usize = 380 * 1024;
/// Largest decompressed transaction group of one rollup, bytes.
pub const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most transactions in one rollup.
pub const ROLLUP_TRANSACTIONS_MAX: usize = 65_536;
/// Most withdrawals in one rollup: they travel in clear and are proven one by one.
pub const ROLLUP_WITHDRAWALS_MAX: usize = 1_024;
/// Most blobs of one rollup (EIP-7594 limits a transaction to six).
pub const ROLLUP_BLOBS_MAX: usize = 6;
/// Most accounts whose viewing keys one request may carry.
pub const AUTHORISATIONS_MAX: usize = 64;
/// Longest time between the making and the expiry of a request, seconds of L1 time.
pub const REQUEST_LIFETIME_SECONDS_MAX: u64 = 3_600;
/// Most log entries in one reply.
pub const LOGS_MAX: usize = 10_000;
/// Most rollups that one log query may span.
pub const LOG_RANGE_MAX: u64 = 10_000;
/// Largest message at the enclave's door, bytes: an L1 block with its receipts and payloads.
pub const DOOR_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest gossip message, bytes: a batch of transactions.
pub const GOSSIP_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Largest announcement of a candidate, bytes: a header and what is signed with it.
pub const ANNOUNCEMENT_BYTES_MAX: usize = 2 * 1024;
/// Largest answer of one host to another, bytes: a payload or a blob, and what stands around it.
pub const CONTENT_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 64;
/// Most L1 blocks between a rollup's proof and its inclusion (the range of BLOCKHASH).
pub const PROOF_AGE_BLOCKS_MAX: u64 = 256;
/// Most rollups of one aggregator and round that are judged, of those that gossip brings as of those that L1
/// has: an enclave seals one, and its next life another with the same nonce.
pub const CANDIDATES_JUDGED_MAX: u8 = 2;
/// Largest signed transaction that can be forced through L1, bytes: above any contract creation
/// (EIP-3860), and sealed below what L1 nodes pass on.
pub const FORCED_TRANSACTION_BYTES_MAX: usize = 64 * 1024;
/// Largest envelope of a forced transaction, bytes.
pub const FORCED_ENVELOPE_BYTES_MAX: usize = 68 * 1024;
/// Most forced envelopes that one rollup opens: more than fill an L1 block at 60 million gas, so that
/// junk cannot pile up.
pub const FORCED_OPENED_MAX: usize = 1_024;
/// Most bytes of forced transactions that one rollup executes, a third of its payload.
pub const FORCED_EXECUTED_BYTES_MAX: usize = 2 * FORCED_TRANSACTION_BYTES_MAX;
/// Largest quote, bytes; with its certificates one of Intel's has about 5,000.
pub const QUOTE_BYTES_MAX: usize = 16 * 1024;
/// Largest collateral of one machine, bytes: certificates, revocation lists and statements.
pub const COLLATERAL_BYTES_MAX: usize = 512 * 1024;
/// L1 blocks after its inclusion in which a rollup of the same round with a lower nonce shows that a rollup
/// ran ahead of it, and earns it nothing (protocol 5.7).
pub const SETTLEMENT_BLOCKS: u64 = 2;
