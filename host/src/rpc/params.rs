//! Parameters as clients write them. Not here: what is done with them.

use alloy_primitives::B256;
use obscuro_protocol::door::RollupId;
use serde::{Deserialize, Deserializer, de::Error};

/// A rollup by `"latest"`, number (`7`, `"7"`, `"0x7"`) or hash.
pub struct RollupParam(pub RollupId);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for RollupParam {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = match Written::deserialize(deserializer) {
            Ok(Written::Number(number)) => Some(RollupId::Number(number)),
            Ok(Written::Text(text)) => rollup_id(&text),
            Err(_) => None,
        };
        id.map(Self).ok_or_else(|| {
            D::Error::custom("expected \"latest\", a rollup number or a rollup hash")
        })
    }
}

fn rollup_id(text: &str) -> Option<RollupId> {
    const HASH_CHARS: usize = 66;
    match text.strip_prefix("0x") {
        _ if text == "latest" => Some(RollupId::Latest),
        Some(_) if text.len() == HASH_CHARS => text.parse::<B256>().ok().map(RollupId::Hash),
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(RollupId::Number),
        None => text.parse().ok().map(RollupId::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollups_are_named_in_every_usual_way() {
        let hash = B256::repeat_byte(7);
        let good = [
            ("\"latest\"".to_owned(), RollupId::Latest),
            ("7".to_owned(), RollupId::Number(7)),
            ("\"7\"".to_owned(), RollupId::Number(7)),
            ("\"0x1f\"".to_owned(), RollupId::Number(31)),
            (format!("\"{hash}\""), RollupId::Hash(hash)),
        ];
        for (json, id) in good {
            let parsed: RollupParam = serde_json::from_str(&json).unwrap();
            assert_eq!(parsed.0, id, "{json}");
        }
        for bad in ["\"\"", "\"0x\"", "-1", "null", "[]", "{}", "\"newest\"", "1.5", "\"0xzz\""] {
            assert!(serde_json::from_str::<RollupParam>(bad).is_err(), "{bad}");
        }
    }
}
