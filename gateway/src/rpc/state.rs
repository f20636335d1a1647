//! Accounts, contracts and calls. Whose data a query touches decides which authorisation travels
//! with it; what is not authorised looks empty. Not here: who decides that (the enclave).

use super::{
    Context,
    error::{Answer, server_error, unexpected_reply},
    params::{CallParam, Positional, at},
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use jsonrpsee::types::Params;
use obscuro_protocol::query::{CallRequest, Query, Reply};

/// Bytes of a function selector, and of an argument after it.
const SELECTOR_BYTES: usize = 4;
const WORD_BYTES: usize = 32;

/// `eth_getBalance`.
pub async fn balance(context: &Context, params: Params<'_>) -> Answer<U256> {
    let mut params = Positional::new(&params);
    let account: Address = params.required()?;
    let query = Query::Balance(account, at(params.block()?));
    match context.sealed.ask(query, &[account]).await? {
        Reply::Value(balance) => Ok(balance),
        _ => Err(unexpected_reply()),
    }
}

/// `eth_getTransactionCount`; the tag "pending" counts transactions that wait.
pub async fn nonce(context: &Context, params: Params<'_>) -> Answer<U64> {
    let mut params = Positional::new(&params);
    let account: Address = params.required()?;
    let block = params.block()?;
    let query = Query::Nonce {
        account,
        at: at(block),
        pooled: block == BlockId::Number(BlockNumberOrTag::Pending),
    };
    match context.sealed.ask(query, &[account]).await? {
        Reply::Count(nonce) => Ok(U64::from(nonce)),
        _ => Err(unexpected_reply()),
    }
}

/// `eth_getCode`.
pub async fn code(context: &Context, params: Params<'_>) -> Answer<Bytes> {
    let mut params = Positional::new(&params);
    let query = Query::Code(params.required()?, at(params.block()?));
    match context.sealed.ask(query, &[]).await? {
        Reply::Bytes(code) => Ok(code),
        _ => Err(unexpected_reply()),
    }
}

/// `eth_getStorageAt`.
pub async fn storage(context: &Context, params: Params<'_>) -> Answer<B256> {
    let mut params = Positional::new(&params);
    let account: Address = params.required()?;
    let slot: U256 = params.required()?;
    let query = Query::Storage(account, slot, at(params.block()?));
    match context.sealed.ask(query, &[account]).await? {
        Reply::Value(value) => Ok(value.into()),
        _ => Err(unexpected_reply()),
    }
}

/// `eth_call`.
pub async fn call(context: &Context, params: Params<'_>) -> Answer<Bytes> {
    let (request, block) = call_params(context, &params)?;
    let accounts: Vec<_> = request.from.into_iter().collect();
    let query = Query::Call(request, at(block));
    match context.sealed.ask(query, &accounts).await? {
        Reply::Bytes(output) => Ok(output),
        _ => Err(unexpected_reply()),
    }
}

/// `eth_estimateGas`.
pub async fn estimate_gas(context: &Context, params: Params<'_>) -> Answer<U64> {
    let (request, block) = call_params(context, &params)?;
    let accounts: Vec<_> = request.from.into_iter().collect();
    let query = Query::EstimateGas(request, at(block));
    match context.sealed.ask(query, &accounts).await? {
        Reply::Count(gas) => Ok(U64::from(gas)),
        _ => Err(unexpected_reply()),
    }
}

fn call_params(context: &Context, params: &Params<'_>) -> Answer<(CallRequest, BlockId)> {
    let mut params = Positional::new(params);
    let mut request = params.required::<CallParam>()?.into_request()?;
    let block = params.block()?;
    params.absent("state overrides")?;
    params.absent("block overrides")?;
    request.from = sender(context, &request)?;
    Ok((request, block))
}

/// Who runs a message: the sender that it names, which must have authorised the gateway; else the
/// one account of the gateway that occurs among its arguments, since tools leave the sender out when
/// they ask a token for a balance; else nobody.
fn sender(context: &Context, request: &CallRequest) -> Answer<Option<Address>> {
    let now = context.clock.now();
    match request.from {
        Some(from) if context.accounts.is_readable(from, now) => Ok(Some(from)),
        Some(from) => Err(server_error(format!(
            "account {from} has not authorised this gateway: sign what obscuro_viewingKey returns \
             and pass it to obscuro_authorise, or leave \"from\" out"
        ))),
        None => Ok(arguments(&request.data).find(|a| context.accounts.is_readable(*a, now))),
    }
}

/// The addresses among the arguments of a call.
fn arguments(data: &[u8]) -> impl Iterator<Item = Address> {
    let words = data.get(SELECTOR_BYTES..).unwrap_or_default();
    words.chunks_exact(WORD_BYTES).filter_map(|word| {
        let (padding, address) = word.split_last_chunk::<20>()?;
        let is_address = padding.iter().all(|byte| *byte == 0) && *address != [0; 20];
        is_address.then(|| Address::from(*address))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_among_arguments_are_found() {
        let owner = Address::repeat_byte(0xab);
        let data = [
            &[1, 2, 3, 4][..],
            owner.into_word().as_slice(),
            B256::ZERO.as_slice(),
            B256::repeat_byte(0xab).as_slice(),
            &owner.into_word()[..31],
        ]
        .concat();
        assert_eq!(arguments(&data).collect::<Vec<_>>(), [owner]);
        for short in [&b""[..], &[1, 2], &[1, 2, 3, 4], &[0; 35]] {
            assert_eq!(arguments(short).count(), 0);
        }
    }
}
