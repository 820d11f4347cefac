//! Arguments that are not all known: what can still be told of the call.

use rhai::{Dynamic, Map};

use crate::script::functions::{Function, Kind};

use super::unknown::{Unknown, find, text_of};

/// What is not known of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// What its values depend on.
    pub depends_on: String,
    /// Options that were left away, because their values are not known.
    pub options: Vec<String>,
    /// Can it not even be told with what stands for its values?
    pub is_hopeless: bool,
}

/// Puts texts in the place of values that are not known, and takes away the options where a text
/// will not do. `None` when all is known.
pub fn settle(function: &Function, values: &mut Vec<Dynamic>) -> Option<Doubt> {
    let unknown = values.iter().find_map(find)?;
    let mut doubt = Doubt {
        depends_on: unknown.depends_on.to_string(),
        options: Vec::new(),
        is_hopeless: false,
    };
    let closure = function.closure.and_then(|param| {
        let last = values.pop()?;
        Some((param, last))
    });
    let places = function.params.len() + function.optional.len();
    if values.len() > function.params.len() && !function.options.is_empty() {
        if values.last().is_some_and(|last| last.is::<Unknown>()) {
            values.pop();
            doubt.options.push("all of them".into());
        } else if let Some(options) = values.pop_if(|last| last.is_map()) {
            let known = known_options(function, options, &mut doubt.options);
            values.push(known.into());
        }
    }
    let params = function.params.iter().chain(function.optional);
    for (param, value) in params.zip(values.iter_mut()).take(places) {
        if find(value).is_some() {
            doubt.is_hopeless |= !tell(param.kind, value);
        }
    }
    if let Some((param, mut last)) = closure {
        if find(&last).is_some() {
            doubt.is_hopeless |= !tell(param.kind, &mut last);
        }
        values.push(last);
    }
    Some(doubt)
}

fn known_options(function: &Function, options: Dynamic, left_away: &mut Vec<String>) -> Map {
    let mut map = options.try_cast::<Map>().unwrap_or_default();
    map.retain(|name, value| {
        let kind = function.option(name).map(|param| param.kind);
        let is_told = find(value).is_none() || kind.is_some_and(|kind| tell(kind, value));
        if !is_told {
            left_away.push(name.to_string());
        }
        is_told
    });
    map
}

/// Puts a text in the place of a value where one will do; says whether it does.
fn tell(kind: Kind, value: &mut Dynamic) -> bool {
    match kind {
        Kind::Text | Kind::Any | Kind::Command | Kind::BackOut | Kind::Texts | Kind::TextList => {
            put_text(value);
            true
        }
        // A check that is made behind a step is taken for passed.
        Kind::Condition => {
            *value = true.into();
            true
        }
        _ => false,
    }
}

fn put_text(value: &mut Dynamic) {
    if value.is::<Unknown>() {
        *value = text_of(value).into();
    } else if let Ok(mut items) = value.as_array_mut() {
        items.iter_mut().for_each(put_text);
    } else if let Ok(mut map) = value.as_map_mut() {
        map.values_mut().for_each(put_text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::api;

    fn settled(name: &str, mut values: Vec<Dynamic>) -> (Option<Doubt>, Vec<String>) {
        let functions = api::functions();
        let function = functions.iter().find(|f| f.name == name).expect("it");
        let doubt = settle(function, &mut values);
        (doubt, values.iter().map(ToString::to_string).collect())
    }

    fn unknown() -> Dynamic {
        Dynamic::from(Unknown::of("step 1"))
    }

    #[test]
    fn what_is_known_stays_as_it_is() {
        assert_eq!(settled("run", vec!["x".into()]), (None, vec!["x".into()]));
    }

    #[test]
    fn texts_stand_for_values_and_other_options_go() {
        let options = Map::from([
            ("timeout".into(), unknown()),
            ("cwd".into(), unknown()),
            ("retries".into(), 2.into()),
        ]);
        let command: Vec<Dynamic> = vec!["a".into(), unknown()];
        let (doubt, values) = settled("run", vec![command.into(), options.into()]);
        let doubt = doubt.expect("a doubt");
        assert_eq!(doubt.options, ["timeout"]);
        assert!(!doubt.is_hopeless);
        assert_eq!(
            values,
            [
                r#"["a", "‹step 1›"]"#,
                r##"#{"cwd": "‹step 1›", "retries": 2}"##
            ]
        );
    }

    #[test]
    fn options_may_be_unknown_as_a_whole() {
        let (doubt, values) = settled("run", vec!["a".into(), unknown()]);
        assert_eq!(doubt.expect("a doubt").options, ["all of them"]);
        assert_eq!(values, ["a"]);
    }

    #[test]
    fn a_duration_cannot_be_a_text() {
        assert!(settled("soak", vec![unknown()]).0.expect("one").is_hopeless);
        let watch = settled("watch", vec!["w".into(), unknown()]).0;
        assert!(watch.expect("one").is_hopeless);
    }
}
