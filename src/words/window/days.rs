//! Reads the days of a window.

use super::{
    error::{WindowError, WindowProblem as Problem},
    parse::{Reader, near},
    rule::{DAYS, Days},
    zone::Zone,
};

const LONG_DAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// Words that people write for days, and what to write instead.
const DAY_WORDS: [(&str, &str); 12] = [
    ("weekday", "Mon-Fri"),
    ("weekdays", "Mon-Fri"),
    ("workdays", "Mon-Fri"),
    ("weekend", "Sat,Sun"),
    ("weekends", "Sat,Sun"),
    ("everyday", "daily"),
    ("every", "daily"),
    ("always", "daily 00:00-24:00"),
    ("nightly", "daily"),
    ("tues", "Tue"),
    ("thur", "Thu"),
    ("thurs", "Thu"),
];

impl Reader<'_> {
    /// `daily`, `Sat`, `Mon-Fri`, `Mon,Wed and Fri`. A comma belongs to the days when a day
    /// follows: a window is complete only with its times.
    pub(super) fn days(&mut self) -> Result<Days, WindowError> {
        let mut days = Days::default();
        loop {
            let start = self.at;
            let added = self.day_range()?;
            if let Some(again) = (0..7).find(|day| days.has(*day) && added.has(*day)) {
                let problem = Problem::RepeatedDay { day: DAYS[again] };
                return Err(WindowError::new((start, self.at), problem).hint("name each day once"));
            }
            (0..7)
                .filter(|day| added.has(*day))
                .for_each(|day| days.add(day));
            let before = self.at;
            self.space();
            let joined = self.symbol(',') || self.keyword("and");
            self.space();
            let alphabetic = self.rest().starts_with(char::is_alphabetic);
            if !(joined && alphabetic) || self.word().eq_ignore_ascii_case("and") {
                self.at = before;
                return Ok(days);
            }
        }
    }

    fn day_range(&mut self) -> Result<Days, WindowError> {
        let start = self.at;
        if self.keyword("daily") {
            return Ok(Days::ALL);
        }
        let first = self.day()?;
        let before = self.at;
        self.space();
        let mut days = Days::default();
        days.add(first);
        if !self.dash() {
            self.at = before;
            return Ok(days);
        }
        self.space();
        let last = self.day()?;
        if first == last {
            let day = DAYS[first];
            return Err(
                WindowError::new((start, self.at), Problem::DayRange { day })
                    .hint(format!("write {day} for that day, or daily for all")),
            );
        }
        let length = (last + 7 - first) % 7;
        (first..=first + length).for_each(|day| days.add(day));
        Ok(days)
    }

    /// One day, counted from Monday = 0.
    fn day(&mut self) -> Result<usize, WindowError> {
        let word = self.word();
        let lower = word.to_lowercase();
        if let Some(day) = day_named(word) {
            self.at += word.len();
            return Ok(day);
        }
        if word.is_empty() {
            return Err(self.stray("a day such as `Mon`"));
        }
        let (token, token_span) = self.next_token();
        if token.contains('/') || Zone::find(token).is_ok() {
            let day = token.to_owned();
            return Err(WindowError::new(token_span, Problem::UnknownDay { day })
                .hint("a zone stands behind the times: Sat 22:00-02:00 Europe/Berlin"));
        }
        let span = (self.at, self.at + word.len());
        if lower == "except" {
            return Err(WindowError::new(
                span,
                Problem::Missing {
                    expected: "a window",
                },
            )
            .hint("write when it is open before you say when it is not"));
        }
        let error = WindowError::new(
            span,
            Problem::UnknownDay {
                day: word.to_owned(),
            },
        );
        Err(match nearest_day(&lower) {
            Some(day) => error.hint(format!("did you mean {day}?")),
            None => error.hint("known are Mon, Tue, Wed, Thu, Fri, Sat, Sun and daily"),
        })
    }
}

/// The day of a short or long name in any mixture of capitals, counted from Monday = 0.
pub(super) fn day_named(word: &str) -> Option<usize> {
    let named = |names: [&str; 7]| {
        names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(word))
    };
    named(DAYS).or_else(|| named(LONG_DAYS))
}

fn nearest_day(word: &str) -> Option<&'static str> {
    if let Some((_, meant)) = DAY_WORDS.iter().find(|(known, _)| *known == word) {
        return Some(meant);
    }
    let mut starting = (0..7).filter(|day| word.len() > 1 && LONG_DAYS[*day].starts_with(word));
    if let Some(day) = starting.next() {
        return Some(DAYS[day]);
    }
    if near(word, "daily") {
        return Some("daily");
    }
    let distance = |day: usize| {
        strsim::damerau_levenshtein(LONG_DAYS[day], word)
            .min(strsim::damerau_levenshtein(&DAYS[day].to_lowercase(), word))
    };
    (0..7)
        .map(|day| (distance(day), day))
        .min()
        .filter(|(distance, _)| *distance * 2 <= word.chars().count())
        .map(|(_, day)| DAYS[day])
}
