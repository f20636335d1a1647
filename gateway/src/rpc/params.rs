//! Parameters as Ethereum's clients write them. Lenient where geth is (missing and unknown fields),
//! bounded everywhere. Not here: what is done with them.

use super::error::{Answer, invalid_params};
use alloy_eips::{BlockId, BlockNumberOrTag, eip2930::AccessList};
use alloy_primitives::{Address, B256, Bytes, U256};
use jsonrpsee::types::{Params, ParamsSequence};
use obscuro_protocol::query::{At, CallRequest};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// Most addresses, and most values of one topic, in a filter (geth's limit for topics).
const ALTERNATIVES_MAX: usize = 1_000;
/// Topics that an event can have.
const TOPICS_MAX: usize = 4;

/// Positional parameters, one after the other.
pub struct Positional<'a>(ParamsSequence<'a>);

impl<'a> Positional<'a> {
    /// The parameters of a request.
    pub fn new(params: &'a Params<'_>) -> Self {
        Self(params.sequence())
    }

    /// The next, which must be there.
    pub fn required<T: DeserializeOwned>(&mut self) -> Answer<T> {
        self.0.next()
    }

    /// The next, if it is there and not null.
    pub fn optional<T: DeserializeOwned>(&mut self) -> Answer<Option<T>> {
        self.0.optional_next()
    }

    /// The block of a state query; the latest if absent.
    pub fn block(&mut self) -> Answer<BlockId> {
        Ok(self.optional()?.unwrap_or_default())
    }

    /// A parameter that other nodes understand and this gateway does not: it must be absent.
    pub fn absent(&mut self, what: &str) -> Answer<()> {
        match self.optional::<Value>()? {
            None => Ok(()),
            Some(Value::Object(fields)) if fields.is_empty() => Ok(()),
            Some(_) => Err(invalid_params(format!("{what} are not supported"))),
        }
    }
}

/// The state that a block stands for. Nothing about unpublished rollups can be asked (protocol 8.3),
/// and a published one is as final as the L1 block that has it: all tags but "earliest" mean the
/// newest.
pub fn at(block: BlockId) -> At {
    match block {
        BlockId::Hash(hash) => At::Hash(hash.block_hash),
        BlockId::Number(BlockNumberOrTag::Number(number)) => At::Number(number),
        BlockId::Number(BlockNumberOrTag::Earliest) => At::Number(0),
        BlockId::Number(_) => At::Latest,
    }
}

/// A message to run, of which fees and nonce do not matter.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CallParam {
    from: Option<Address>,
    to: Option<Address>,
    gas: Option<U256>,
    value: Option<U256>,
    data: Option<Bytes>,
    input: Option<Bytes>,
    access_list: Option<AccessList>,
}

impl CallParam {
    /// The message; the zero address stands for no sender, as tools write it.
    pub fn into_request(self) -> Answer<CallRequest> {
        let data = match (self.input, self.data) {
            (Some(input), Some(data)) if input != data => {
                return Err(invalid_params("both \"data\" and \"input\" are set and not equal"));
            }
            (input, data) => input.or(data).unwrap_or_default(),
        };
        Ok(CallRequest {
            from: self.from.filter(|from| !from.is_zero()),
            to: self.to,
            gas: self.gas.and_then(|gas| gas.try_into().ok()),
            value: self.value.unwrap_or_default(),
            data,
            access_list: self.access_list.unwrap_or_default(),
        })
    }
}

/// One value or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<Option<T>>),
}

impl<T> OneOrMany<T> {
    /// The alternatives; empty for any.
    fn into_alternatives(self) -> Answer<Vec<T>> {
        match self {
            Self::One(value) => Ok(vec![value]),
            Self::Many(values) if values.len() > ALTERNATIVES_MAX => {
                Err(invalid_params("too many alternatives in the filter"))
            }
            // A null among them allows anything.
            Self::Many(values) => Ok(values.into_iter().collect::<Option<_>>().unwrap_or_default()),
        }
    }
}

/// A filter of events.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FilterParam {
    from_block: Option<BlockNumberOrTag>,
    to_block: Option<BlockNumberOrTag>,
    block_hash: Option<B256>,
    address: Option<OneOrMany<Address>>,
    topics: Option<Vec<Option<OneOrMany<B256>>>>,
}

/// Which events, of whatever rollup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Emitting contracts; any if empty.
    pub addresses: Vec<Address>,
    /// By position; any if empty.
    pub topics: Vec<Vec<B256>>,
}

/// Of which rollups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// One rollup.
    Block(B256),
    /// From one to another, both included.
    Range {
        /// The first; the newest if absent.
        from: Option<BlockNumberOrTag>,
        /// The last; the newest if absent.
        to: Option<BlockNumberOrTag>,
    },
}

impl FilterParam {
    /// The filter, checked.
    pub fn into_parts(self) -> Answer<(Span, Wanted)> {
        let span = match (self.block_hash, self.from_block, self.to_block) {
            (Some(hash), None, None) => Span::Block(hash),
            (None, from, to) => Span::Range { from, to },
            _ => {
                return Err(invalid_params(
                    "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other",
                ));
            }
        };
        let topics = self.topics.unwrap_or_default();
        if topics.len() > TOPICS_MAX {
            return Err(invalid_params("exceed max topics"));
        }
        let alternatives = |topic: Option<OneOrMany<_>>| {
            topic.map_or(Ok(Vec::new()), OneOrMany::into_alternatives)
        };
        let wanted = Wanted {
            addresses: self.address.map_or(Ok(Vec::new()), OneOrMany::into_alternatives)?,
            topics: topics.into_iter().map(alternatives).collect::<Answer<_>>()?,
        };
        Ok((span, wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn calls_are_read_as_tools_write_them() {
        let read = |json| serde_json::from_value::<CallParam>(json).unwrap().into_request();
        let account = Address::repeat_byte(1);
        let call = read(json!({
            "from": account, "to": account, "gas": "0x5208", "value": "0x1", "input": "0x01",
            "data": "0x01", "gasPrice": "0x1", "nonce": "0x0", "accessList": [], "type": "0x2",
        }));
        let call = call.unwrap();
        assert_eq!((call.from, call.to, call.gas), (Some(account), Some(account), Some(21_000)));
        assert_eq!((call.value, &call.data[..]), (U256::ONE, &[1][..]));
        assert_eq!(read(json!({"from": Address::ZERO})).unwrap().from, None);
        assert_eq!(read(json!({"to": null})).unwrap(), CallRequest::default());
        assert_eq!(read(json!({"gas": U256::MAX})).unwrap().gas, None);
        assert!(read(json!({"data": "0x01", "input": "0x02"})).is_err());
        for bad in [json!("0x"), json!([1]), json!({"to": "0x12"}), json!({"value": "1 ether"})] {
            assert!(serde_json::from_value::<CallParam>(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn filters_are_read_as_tools_write_them() {
        let read = |json| serde_json::from_value::<FilterParam>(json).unwrap().into_parts();
        let (address, topic) = (Address::repeat_byte(1), B256::repeat_byte(2));
        let (span, wanted) = read(json!({
            "fromBlock": "earliest", "toBlock": "0x10", "address": address,
            "topics": [topic, null, [topic, topic], []], "unknown": 1,
        }))
        .unwrap();
        let range = Span::Range {
            from: Some(BlockNumberOrTag::Earliest),
            to: Some(BlockNumberOrTag::Number(16)),
        };
        assert_eq!(span, range);
        assert_eq!(wanted.addresses, [address]);
        assert_eq!(wanted.topics, [vec![topic], vec![], vec![topic, topic], vec![]]);
        let (span, wanted) = read(json!({"blockHash": topic, "address": [address]})).unwrap();
        assert_eq!((span, wanted.addresses), (Span::Block(topic), vec![address]));
        assert_eq!(read(json!({})).unwrap().1, Wanted::default());
        let many: Vec<_> = (0..=ALTERNATIVES_MAX).map(|_| address).collect();
        for bad in [
            json!({"blockHash": topic, "fromBlock": "0x1"}),
            json!({"topics": [null, null, null, null, null]}),
            json!({"address": many}),
        ] {
            assert!(read(bad).is_err());
        }
    }
}
