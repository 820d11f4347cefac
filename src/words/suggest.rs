//! The nearest of several names: "did you mean".

/// The name nearest to `wrong`, if one is near: at most a third of its letters differ.
#[must_use]
pub fn nearest<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let limit = (wrong.chars().count() / 3).max(1);
    names
        .into_iter()
        .map(|name| (strsim::osa_distance(wrong, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_near_and_nothing_else() {
        let names = ["timeout", "title", "retries"];
        assert_eq!(nearest("timout", names), Some("timeout"));
        assert_eq!(nearest("tilte", names), Some("title"));
        assert_eq!(nearest("colour", names), None);
    }
}
