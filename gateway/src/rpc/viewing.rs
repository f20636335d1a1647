//! How an account lets this gateway read for it: it signs the gateway's viewing key (EIP-712). Not
//! here: what is kept of it (`accounts`).

use super::{Context, error::Answer, params::Positional};
use alloy_primitives::{Address, Bytes, U64};
use jsonrpsee::types::Params;
use serde::Serialize;
use serde_json::{Value, json};

/// How long an authorisation lasts unless the user says otherwise.
const DEFAULT_SECONDS: u64 = 30 * 86_400;

/// `obscuro_viewingKey(account, expiresAt?)`: what the account signs, as `eth_signTypedData_v4`
/// takes it.
pub async fn to_sign(context: &Context, params: Params<'_>) -> Answer<Value> {
    let mut params = Positional::new(&params);
    let account: Address = params.required()?;
    let expires_at = match params.optional::<U64>()? {
        Some(time) => time.to(),
        None => context.clock.now().saturating_add(DEFAULT_SECONDS),
    };
    let key = context.accounts.to_sign(account, expires_at);
    Ok(json!({
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
            ],
            "ViewingKey": [
                {"name": "account", "type": "address"},
                {"name": "viewingKey", "type": "address"},
                {"name": "expiresAt", "type": "uint64"},
            ],
        },
        "primaryType": "ViewingKey",
        "domain": {"name": "Obscuro", "version": "1", "chainId": context.config.l2ChainId},
        "message": key,
    }))
}

/// `obscuro_authorise(account, expiresAt, signature)`.
pub async fn authorise(context: &Context, params: Params<'_>) -> Answer<bool> {
    let mut params = Positional::new(&params);
    let account: Address = params.required()?;
    let expires_at: U64 = params.required()?;
    let signature: Bytes = params.required()?;
    let now = context.clock.now();
    context.accounts.authorise(account, expires_at.to(), signature, now)?;
    Ok(true)
}

/// An account that authorised this gateway.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorised {
    account: Address,
    expires_at: u64,
}

/// `obscuro_accounts`.
pub async fn accounts(context: &Context, _: Params<'_>) -> Answer<Vec<Authorised>> {
    let listed = context.accounts.list().into_iter();
    Ok(listed.map(|(account, expires_at)| Authorised { account, expires_at }).collect())
}

/// `obscuro_revoke(account)`; whether it was authorised.
pub async fn revoke(context: &Context, params: Params<'_>) -> Answer<bool> {
    let account: Address = Positional::new(&params).required()?;
    Ok(context.accounts.revoke(account)?)
}
