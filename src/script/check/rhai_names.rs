//! The functions of the language itself that plans may call, and with how many arguments.
//!
//! Written down, because collecting them from the engine takes a millisecond with every check. A
//! test compares the list with the engine.

/// What is built into Rhai's grammar; takes any number of arguments.
pub(super) const KEYWORDS: &[&str] = &[
    "Fn",
    "call",
    "curry",
    "is_shared",
    "is_def_var",
    "is_def_fn",
    "type_of",
    "this",
];

/// How many values a function takes, the one before the dot counted; `None` when there is none.
pub(super) fn arities(name: &str) -> Option<&'static [usize]> {
    NAMES
        .binary_search_by_key(&name, |(known, _)| known)
        .ok()
        .and_then(|at| NAMES.get(at))
        .map(|n| n.1)
}

/// All names, for suggestions.
pub(super) fn names<'n>() -> impl Iterator<Item = &'n str> {
    NAMES.iter().map(|(name, _)| *name)
}

/// Sorted by name.
const NAMES: &[(&str, &[usize])] = &[
    ("E", &[0]),
    ("PI", &[0]),
    ("abs", &[1]),
    ("acos", &[1]),
    ("acosh", &[1]),
    ("all", &[2]),
    ("append", &[2]),
    ("as_string", &[1]),
    ("asin", &[1]),
    ("asinh", &[1]),
    ("atan", &[1, 2]),
    ("atanh", &[1]),
    ("bits", &[1, 2, 3]),
    ("blob", &[0, 1, 2]),
    ("bytes", &[1]),
    ("ceiling", &[1]),
    ("chars", &[1, 2, 3]),
    ("chop", &[2]),
    ("clear", &[1]),
    ("contains", &[2]),
    ("cos", &[1]),
    ("cosh", &[1]),
    ("crop", &[2, 3]),
    ("dedup", &[1, 2]),
    ("drain", &[2, 3]),
    ("end", &[1]),
    ("ends_with", &[2]),
    ("exp", &[1]),
    ("extract", &[2, 3]),
    ("fill_with", &[2]),
    ("filter", &[2]),
    ("find", &[2, 3]),
    ("find_map", &[2, 3]),
    ("floor", &[1]),
    ("for_each", &[2]),
    ("fraction", &[1]),
    ("get", &[2]),
    ("get_bit", &[2]),
    ("get_bits", &[2, 3]),
    ("get_fn_metadata_list", &[0, 1, 2]),
    ("hypot", &[2]),
    ("index_of", &[2, 3]),
    ("insert", &[3]),
    ("int", &[1]),
    ("is_anonymous", &[1]),
    ("is_empty", &[1]),
    ("is_even", &[1]),
    ("is_exclusive", &[1]),
    ("is_finite", &[1]),
    ("is_inclusive", &[1]),
    ("is_infinite", &[1]),
    ("is_nan", &[1]),
    ("is_odd", &[1]),
    ("is_zero", &[1]),
    ("keys", &[1]),
    ("len", &[1]),
    ("lines", &[1]),
    ("ln", &[1]),
    ("local", &[0]),
    ("log", &[1, 2]),
    ("make_lower", &[1]),
    ("make_upper", &[1]),
    ("map", &[2]),
    ("matches", &[2]),
    ("max", &[2]),
    ("min", &[2]),
    ("mixin", &[2]),
    ("name", &[1]),
    ("order", &[1, 2]),
    ("order_by", &[2]),
    ("order_desc", &[1]),
    ("pad", &[3]),
    ("parse_be_float", &[2, 3]),
    ("parse_be_int", &[2, 3]),
    ("parse_float", &[1]),
    ("parse_int", &[1, 2]),
    ("parse_json", &[1]),
    ("parse_le_float", &[2, 3]),
    ("parse_le_int", &[2, 3]),
    ("pop", &[1, 2]),
    ("push", &[2]),
    ("range", &[2, 3]),
    ("reduce", &[2, 3]),
    ("reduce_rev", &[2, 3]),
    ("remove", &[2]),
    ("replace", &[3]),
    ("replace_all", &[3]),
    ("retain", &[2, 3]),
    ("reverse", &[1]),
    ("round", &[1]),
    ("seconds", &[1]),
    ("set", &[3]),
    ("set_bit", &[3]),
    ("set_bits", &[3, 4]),
    ("set_tag", &[2]),
    ("shift", &[1]),
    ("sign", &[1]),
    ("sin", &[1]),
    ("sinh", &[1]),
    ("some", &[2]),
    ("sort", &[1, 2]),
    ("sort_by", &[2]),
    ("sort_desc", &[1]),
    ("splice", &[3, 4]),
    ("split", &[1, 2, 3]),
    ("split_rev", &[2, 3]),
    ("sqrt", &[1]),
    ("start", &[1]),
    ("starts_with", &[2]),
    ("sub_string", &[2, 3]),
    ("tag", &[1]),
    ("take", &[1]),
    ("tan", &[1]),
    ("tanh", &[1]),
    ("to_array", &[1]),
    ("to_binary", &[1]),
    ("to_blob", &[1]),
    ("to_chars", &[1]),
    ("to_debug", &[1]),
    ("to_degrees", &[1]),
    ("to_float", &[1]),
    ("to_hex", &[1]),
    ("to_int", &[1]),
    ("to_json", &[1]),
    ("to_lower", &[1]),
    ("to_octal", &[1]),
    ("to_radians", &[1]),
    ("to_string", &[1]),
    ("to_upper", &[1]),
    ("trim", &[1]),
    ("trimmed", &[1]),
    ("truncate", &[2]),
    ("values", &[1]),
    ("write_ascii", &[3, 4]),
    ("write_be", &[3, 4]),
    ("write_le", &[3, 4]),
    ("write_utf8", &[3, 4]),
    ("zip", &[3]),
];

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::{BTreeMap, BTreeSet};

    use rhai::packages::{Package as _, StandardPackage};

    use super::*;
    use crate::script::engine::{DISABLED, REPLACED};

    /// Names of ours that are no functions of the table.
    const OURS: &[&str] = &[
        "lines",
        "local",
        "matches",
        "replace_all",
        "seconds",
        "trimmed",
    ];

    #[test]
    fn the_list_is_what_the_engine_has() {
        let mut engine = rhai::Engine::new_raw();
        StandardPackage::new().register_into_engine(&mut engine);
        let found: RefCell<BTreeMap<String, BTreeSet<usize>>> = RefCell::default();
        engine.collect_fn_metadata(
            None,
            |info| {
                let mut found = found.borrow_mut();
                let arities = found.entry(info.metadata.name.to_string()).or_default();
                arities.insert(info.metadata.num_params);
                None::<()>
            },
            true,
        );
        let closed = |name: &str| {
            DISABLED
                .iter()
                .chain(REPLACED)
                .any(|(word, _)| *word == name)
        };
        let engine: BTreeMap<String, BTreeSet<usize>> = found
            .into_inner()
            .into_iter()
            .filter(|(name, _)| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
            // Instants come from `timestamp` alone; `sleep` is a function of ours.
            .filter(|(name, _)| !closed(name) && !["elapsed", "sleep"].contains(&name.as_str()))
            .collect();
        let listed: BTreeMap<String, BTreeSet<usize>> = NAMES
            .iter()
            .filter(|(name, _)| !OURS.contains(name))
            .map(|(name, arities)| ((*name).to_owned(), arities.iter().copied().collect()))
            .collect();
        assert_eq!(listed, engine);
        assert!(NAMES.is_sorted_by_key(|(name, _)| *name));
    }
}
