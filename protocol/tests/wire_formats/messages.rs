//! Internal messages beside their bytes, at least one of each kind. Not here: which messages there
//! are.

use alloy_primitives::Bytes;
use obscuro_protocol::{limits::DOOR_BYTES_MAX, wire};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _, Visitor, value::Error},
    forward_to_deserialize_any,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Each message as JSON, for readers, and as it travels. Panics if a variant has no message.
pub fn messages<T: Serialize + DeserializeOwned>(messages: &[T]) -> Value {
    let readable: Vec<Value> = messages.iter().map(|message| json!(message)).collect();
    let shown: BTreeSet<&str> = readable.iter().filter_map(variant).collect();
    for variant in variants::<T>() {
        assert!(shown.contains(variant), "no message shows {variant}");
    }
    let bytes = messages.iter().map(|message| {
        let bytes = wire::encode(message);
        let decoded: T = wire::decode(&bytes, DOOR_BYTES_MAX).expect("what is encoded decodes");
        assert_eq!(wire::encode(&decoded), bytes, "decoding loses something");
        Bytes::from(bytes)
    });
    bytes
        .zip(&readable)
        .map(|(bytes, message)| json!({ "message": message, "bytes": bytes }))
        .collect()
}

/// The variant that a message is, from its JSON.
fn variant(message: &Value) -> Option<&str> {
    match message {
        Value::String(unit) => Some(unit),
        Value::Object(fields) => fields.keys().next().map(String::as_str),
        _ => None,
    }
}

/// The variants of an enum; none of any other type.
fn variants<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut found: &'static [&'static str] = &[];
    assert!(T::deserialize(Variants(&mut found)).is_err(), "there is nothing to read");
    found
}

/// Reads nothing, but learns which variants are asked for.
struct Variants<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Variants<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("nothing to read"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = variants;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[test]
fn a_variant_without_a_message_is_noticed() {
    #[derive(Serialize, Deserialize)]
    enum Kind {
        Shown(u8),
        Missing,
    }
    assert_eq!(variants::<Kind>(), ["Shown", "Missing"]);
    assert!(std::panic::catch_unwind(|| messages(&[Kind::Shown(1)])).is_err());
    assert_eq!(messages(&[Kind::Missing, Kind::Shown(1)]).as_array().unwrap().len(), 2);
}
