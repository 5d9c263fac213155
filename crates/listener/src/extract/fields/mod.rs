//! Values from names and texts: what forms, queries and headers have in common.

mod values;

use std::{borrow::Cow, collections::HashMap, fmt};

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, MapAccess, Visitor},
    forward_to_deserialize_any,
};

use self::values::Values;
use super::UNEXPECTED;

/// What is wrong, and with which field. Never has a value in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) field: Option<String>,
    pub(crate) reason: Cow<'static, str>,
}

impl Mistake {
    fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field: None,
            reason: reason.into(),
        }
    }

    pub(crate) fn in_field(mut self, field: &str) -> Self {
        self.field.get_or_insert_with(|| field.to_owned());
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Mistake {}

/// What a [`Visitor`] or a `Deserialize` of the user's says. Of its own messages none is kept: they may have the value in them.
impl de::Error for Mistake {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::new(UNEXPECTED)
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("expected {expected}"))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("expected {expected}"))
    }

    fn invalid_length(_: usize, expected: &dyn de::Expected) -> Self {
        Self::new(format!("expected {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("expected one of {}", expected.join(", ")))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!(
            "is unknown; expected one of {}",
            expected.join(", ")
        ))
        .in_field(field)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("is missing").in_field(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new("is there twice").in_field(field)
    }
}

/// Names, each with its values, in the order in which they came.
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, Values<'a>)>);

impl<'a> Fields<'a> {
    /// Of pairs, whose names may come more than once.
    pub(crate) fn of(pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Self {
        let mut fields: Vec<(Cow<'a, str>, Values<'a>)> = Vec::new();
        let mut places: HashMap<Cow<'a, str>, usize> = HashMap::new();
        for (name, value) in pairs {
            match places.get(&name) {
                Some(&place) => fields[place].1.0.push(value),
                None => {
                    places.insert(name.clone(), fields.len());
                    fields.push((name, Values(vec![value])));
                }
            }
        }
        Self(fields)
    }
}

impl<'de> Deserializer<'de> for Fields<'de> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_map(Access {
            fields: self.0.into_iter(),
            current: None,
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        if self.0.is_empty() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_unit()
    }

    /// The pairs, one by one.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let pairs = self.0.into_iter().flat_map(|(name, values)| {
            let pair = move |value| Values(vec![name.clone(), value]);
            values.0.into_iter().map(pair)
        });
        visitor.visit_seq(de::value::SeqDeserializer::new(pairs))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit_struct tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Access<'de> {
    fields: std::vec::IntoIter<(Cow<'de, str>, Values<'de>)>,
    current: Option<(Cow<'de, str>, Values<'de>)>,
}

impl<'de> MapAccess<'de> for Access<'de> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Mistake> {
        self.current = self.fields.next();
        let Some((name, _)) = &self.current else {
            return Ok(None);
        };
        let key = seed.deserialize(Values(vec![name.clone()]));
        key.map(Some).map_err(|mistake| mistake.in_field(name))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mistake> {
        let (name, values) = self
            .current
            .take()
            .ok_or_else(|| Mistake::new(UNEXPECTED))?;
        let value = seed.deserialize(values);
        value.map_err(|mistake| mistake.in_field(&name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.fields.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct All {
        number: Option<i32>,
        text: String,
        is_set: bool,
        ratio: f64,
        many: Vec<u8>,
        pair: Option<(u8, u8)>,
        kind: Option<Kind>,
        wrapped: Option<Wrapped>,
        letter: Option<char>,
        nothing: (),
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        One,
        Two(u8),
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Wrapped(u64);

    fn read<'a, T: Deserialize<'a>>(pairs: &[(&'a str, &'a str)]) -> Result<T, Mistake> {
        T::deserialize(Fields::of(
            pairs
                .iter()
                .map(|&(name, value)| (name.into(), value.into())),
        ))
    }

    #[test]
    fn texts_become_values() {
        let all: All = read(&[
            ("number", "-7"),
            ("many", "1"),
            ("text", "a b"),
            ("many", "2"),
            ("is_set", "true"),
            ("ratio", "0.5"),
            ("pair", "3"),
            ("pair", "4"),
            ("kind", "one"),
            ("wrapped", "9"),
            ("letter", "ä"),
            ("nothing", ""),
            ("unknown", "is ignored"),
            ("unknown", "even twice"),
        ])
        .expect("all fit");
        let expected = All {
            number: Some(-7),
            text: "a b".to_owned(),
            is_set: true,
            ratio: 0.5,
            many: vec![1, 2],
            pair: Some((3, 4)),
            kind: Some(Kind::One),
            wrapped: Some(Wrapped(9)),
            letter: Some('ä'),
            nothing: (),
        };
        assert_eq!(all, expected);
        assert_eq!(read::<All>(&[]).expect("defaults"), All::default());
        let empty: All = read(&[("number", ""), ("kind", "")]).expect("not filled in");
        assert_eq!(empty, All::default());
    }

    #[test]
    fn mistakes_name_the_field_and_not_the_value() {
        for (pair, reason) in [
            (("number", "secret"), "expected i32"),
            (("is_set", "secret"), "expected bool"),
            (("many", "secret"), "expected u8"),
            (("kind", "secret"), "expected one of one, two"),
            (("kind", "two"), UNEXPECTED),
            (("pair", "1"), "expected a tuple of size 2"),
            (("nothing", "secret"), "expected nothing"),
            (("letter", "secret"), "expected a character"),
        ] {
            let mistake = read::<All>(&[pair]).expect_err("no such value");
            assert_eq!(mistake.field.as_deref(), Some(pair.0));
            assert_eq!(mistake.reason, reason, "{pair:?}");
        }
        let twice = [("text", "a"), ("text", "b")];
        let mistake = read::<All>(&twice).expect_err("one text");
        assert_eq!(mistake.reason, "is there more than once");

        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Strict {
            #[expect(dead_code, reason = "it is only read")]
            here: u8,
        }
        let mistake = read::<Strict>(&[]).expect_err("it is missing");
        assert_eq!(mistake.field.as_deref(), Some("here"));
        let mistake = read::<Strict>(&[("there", "1")]).expect_err("it is unknown");
        assert_eq!(mistake.field.as_deref(), Some("there"));
    }

    proptest! {
        #[test]
        fn pairs_come_back(pairs in proptest::collection::vec(("[a-c]{1,2}", "\\PC{0,4}"), 0..12)) {
            let borrowed = pairs.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
            let read = HashMap::<String, Vec<String>>::deserialize(Fields::of(borrowed)).expect("a map");
            let mut expected = HashMap::<String, Vec<String>>::new();
            for (name, value) in &pairs {
                expected.entry(name.clone()).or_default().push(value.clone());
            }
            prop_assert_eq!(read, expected);
            let borrowed = pairs.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
            let read = Vec::<(String, String)>::deserialize(Fields::of(borrowed)).expect("pairs");
            prop_assert_eq!(read.len(), pairs.len());
        }
    }
}
