//! Values that cross the border between a script and the host: what JSON can hold, and nothing
//! that would come back as something else.

use rhai::{Dynamic, Map};
use serde_json::{Number, Value};

use super::secret_text::SecretText;

/// A script's value as JSON. Fails for what JSON cannot hold, and names it.
pub fn to_json(value: &Dynamic) -> Result<Value, String> {
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(b) = value.as_bool() {
        return Ok(Value::Bool(b));
    }
    if let Ok(n) = value.as_int() {
        return Ok(Value::Number(n.into()));
    }
    if let Ok(n) = value.as_float() {
        return Number::from_f64(n)
            .map(Value::Number)
            .ok_or_else(|| format!("the number {n} can't be handed to the host"));
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return Ok(Value::String(text.to_string()));
    }
    if let Ok(c) = value.as_char() {
        return Ok(Value::String(c.to_string()));
    }
    if let Some(secret) = value.read_lock::<SecretText>() {
        return Ok(Value::String(secret.reveal().to_owned()));
    }
    if let Ok(items) = value.as_array_ref() {
        return items
            .iter()
            .map(to_json)
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Array);
    }
    if let Ok(map) = value.as_map_ref() {
        let items = map.iter().map(|(k, v)| Ok((k.to_string(), to_json(v)?)));
        return items.collect::<Result<_, String>>().map(Value::Object);
    }
    Err(format!(
        "a value of type {} can't be handed to the host",
        value.type_name()
    ))
}

/// JSON as a script's value.
pub fn from_json(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => match n.as_i64() {
            Some(n) => n.into(),
            None => n.as_f64().unwrap_or(f64::NAN).into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(from_json).collect::<Vec<_>>().into(),
        Value::Object(map) => {
            let map: Map = map
                .iter()
                .map(|(k, v)| (k.as_str().into(), from_json(v)))
                .collect();
            map.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_holds_comes_back_as_it_was() {
        let value = serde_json::json!({"a": [1, -2.5, true, null, "x"], "b": {"c": ""}});
        assert_eq!(to_json(&from_json(&value)), Ok(value));
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        let pointer = rhai::FnPtr::new("f").expect("a name");
        assert!(to_json(&Dynamic::from(pointer)).is_err());
        assert!(to_json(&Dynamic::from(0..3_i64)).is_err());
        assert!(to_json(&f64::NAN.into()).is_err());
    }
}
