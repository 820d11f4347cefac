use super::*;

#[test]
fn canonical_text() {
    let cases = [
        (
            "Sat 22:00-02:00 Europe/Berlin",
            "Sat 22:00-02:00 Europe/Berlin",
        ),
        (
            "sAT 22:00 - 2:00 europe/berlin",
            "Sat 22:00-02:00 Europe/Berlin",
        ),
        ("Saturday 22:00–02:00 utc", "Sat 22:00-02:00 UTC"),
        ("daily 22:00-00:00 UTC", "daily 22:00-24:00 UTC"),
        ("Mon-Sun 00:00-24:00 UTC", "daily 00:00-24:00 UTC"),
        ("Fri-Mon 20:00-21:00 UTC", "Fri-Mon 20:00-21:00 UTC"),
        ("Mon,Wed,Fri 20:00-21:00 UTC", "Mon,Wed,Fri 20:00-21:00 UTC"),
        (
            "Fri, Mon and Wed 20:00-21:00 UTC",
            "Mon,Wed,Fri 20:00-21:00 UTC",
        ),
        ("Wed,Fri-Mon 20:00-21:00 UTC", "Wed,Fri-Mon 20:00-21:00 UTC"),
        (
            "Mon-Wed,Fri,Sat 20:00-21:00 UTC",
            "Mon-Wed,Fri,Sat 20:00-21:00 UTC",
        ),
        ("Sun,Mon 20:00-21:00 UTC", "Sun,Mon 20:00-21:00 UTC"),
        // A comma between windows, and the zone on the last one.
        (
            "Mon 20:00-21:00, Tue,Wed 21:00-22:00 and Sat 22:00-02:00 Europe/Berlin",
            "Mon 20:00-21:00 Europe/Berlin; Tue,Wed 21:00-22:00 Europe/Berlin; Sat 22:00-02:00 Europe/Berlin",
        ),
        (
            "Mon 20:00-21:00 Europe/Berlin; Sat 22:00-02:00",
            "Mon 20:00-21:00 Europe/Berlin; Sat 22:00-02:00 Europe/Berlin",
        ),
        (
            "Mon 20:00-21:00 UTC; Sat 22:00-02:00 Asia/Tokyo except 2026-12-24 UTC",
            "Mon 20:00-21:00 UTC; Sat 22:00-02:00 Asia/Tokyo except 2026-12-24 UTC",
        ),
        (
            "2026-12-01T22:00+01:00/2026-12-02T02:00+01:00",
            "2026-12-01T22:00+01:00/2026-12-02T02:00+01:00",
        ),
        (
            "2026-12-01T22:00:00Z/PT4H",
            "2026-12-01T22:00Z/2026-12-02T02:00Z",
        ),
        (
            "2026-12-01T22:00:30Z/P1DT1S",
            "2026-12-01T22:00:30Z/2026-12-02T22:00:31Z",
        ),
        (
            "2026-12-01T22:00-03:30/2026-12-02T02:00",
            "2026-12-01T22:00-03:30/2026-12-02T02:00-03:30",
        ),
        (
            "2026-12-01T22:00[Europe/Berlin]/2026-12-01T24:00",
            "2026-12-01T22:00[Europe/Berlin]/2026-12-02T00:00[Europe/Berlin]",
        ),
        (
            "2026-12-01T22:00/2026-12-02T02:00 Europe/Berlin",
            "2026-12-01T22:00[Europe/Berlin]/2026-12-02T02:00[Europe/Berlin]",
        ),
        (
            "2026-12-01T22:00+01:00/PT4H Europe/Berlin",
            "2026-12-01T22:00+01:00/2026-12-02T02:00+01:00[Europe/Berlin]",
        ),
        (
            "2026-12-01T22:00Z/2026-12-02T02:00Z Europe/Berlin",
            "2026-12-01T22:00Z/2026-12-02T02:00Z Europe/Berlin",
        ),
        // A length counts real hours and calendar days.
        (
            "2026-10-25T01:00[Europe/Berlin]/PT4H",
            "2026-10-25T01:00[Europe/Berlin]/2026-10-25T04:00+01:00[Europe/Berlin]",
        ),
        (
            "2026-10-24T12:00[Europe/Berlin]/P1D",
            "2026-10-24T12:00[Europe/Berlin]/2026-10-25T12:00+01:00[Europe/Berlin]",
        ),
        (
            "Sat 22:00-02:00 Europe/Berlin except 2026-12-20/2027-01-06, 2027-04-02 and 2027-05-01T00:00/2027-05-01T12:00",
            "Sat 22:00-02:00 Europe/Berlin except 2026-12-20/2027-01-06 Europe/Berlin, \
             2027-04-02 Europe/Berlin, 2027-05-01T00:00[Europe/Berlin]/2027-05-01T12:00[Europe/Berlin]",
        ),
        (
            "Sat 22:00-02:00 except 2026-12-20 Europe/Berlin",
            "Sat 22:00-02:00 Europe/Berlin except 2026-12-20 Europe/Berlin",
        ),
    ];
    for (spec, expected) in cases {
        let read = window(spec);
        assert_eq!(read.normalised(), expected, "{spec}");
        assert_eq!(window(expected), read, "{spec}");
        let json = serde_json::to_string(&read).expect("a string");
        assert_eq!(
            serde_json::from_str::<Window>(&json).expect("a window"),
            read
        );
    }
    let wrong = serde_json::from_str::<Window>("\"Sta 22:00-02:00 UTC\"").expect_err("no day");
    assert!(wrong.to_string().contains("did you mean Sat?"), "{wrong}");
}

/// Every mistake: the part of the text that is pointed at, what is said, and the hint.
#[test]
fn mistakes_are_pointed_at() {
    let cases = [
        ("", "", "the text is empty", "Sat 22:00-02:00"),
        ("  ", "  ", "the text is empty", "Sat 22:00-02:00"),
        (
            "Sta 22:00-02:00 UTC",
            "Sta",
            "day \"Sta\" is unknown",
            "did you mean Sat?",
        ),
        (
            "Saturdya 22:00-02:00 UTC",
            "Saturdya",
            "is unknown",
            "did you mean Sat?",
        ),
        (
            "Sa 22:00-02:00 UTC",
            "Sa",
            "is unknown",
            "did you mean Sat?",
        ),
        (
            "weekdays 22:00-23:00 UTC",
            "weekdays",
            "is unknown",
            "did you mean Mon-Fri?",
        ),
        (
            "dayly 22:00-23:00 UTC",
            "dayly",
            "is unknown",
            "did you mean daily?",
        ),
        (
            "Feierabend 22:00-23:00 UTC",
            "Feierabend",
            "is unknown",
            "known are Mon",
        ),
        (
            "Mon-Xyz 22:00-23:00 UTC",
            "Xyz",
            "is unknown",
            "known are Mon",
        ),
        (
            "Mon,Mon 22:00-23:00 UTC",
            "Mon",
            "Mon is named twice",
            "once",
        ),
        (
            "Mon-Fri,Wed 22:00-23:00 UTC",
            "Wed",
            "Wed is named twice",
            "once",
        ),
        (
            "Mon-Mon 22:00-23:00 UTC",
            "Mon-Mon",
            "begins and ends with Mon",
            "daily",
        ),
        (
            "Europe/Berlin Sat 22:00-02:00",
            "Europe/Berlin",
            "is unknown",
            "behind the times",
        ),
        ("Sat UTC", "Sat", "have no times", "before the zone"),
        (
            "Sat",
            "Sat",
            "the days \"Sat\" have no times",
            "Sat 22:00-02:00",
        ),
        (
            "Mon;Wed 22:00-23:00 UTC",
            "Mon",
            "have no times",
            "separate days with `,`",
        ),
        (
            "Mon Wed 22:00-23:00 UTC",
            "Mon",
            "have no times",
            "separate days with `,`",
        ),
        (
            "Mon, 22:00-23:00 UTC",
            "Mon",
            "have no times",
            "write them behind",
        ),
        (
            "22:00-02:00 UTC",
            "22:00-02:00",
            "the times have no days",
            "daily",
        ),
        (
            "Mon 20:00-21:00, 22:00-23:00 UTC",
            "22:00-23:00",
            "have no days",
            "in front",
        ),
        (
            "Mon 20:00-21:00 22:00-23:00 UTC",
            "22:00-23:00",
            "instead of",
            "repeat the days",
        ),
        (
            "Sat 25:00-02:00 UTC",
            "25:00",
            "no time of day",
            "00:00 to 24:00",
        ),
        (
            "Sat 22:60-02:00 UTC",
            "22:60",
            "no time of day",
            "00:00 to 24:00",
        ),
        (
            "Sat 22:00-24:01 UTC",
            "24:01",
            "no time of day",
            "00:00 to 24:00",
        ),
        ("Sat 10pm-11pm UTC", "10pm", "no time of day", "24-hour"),
        ("Sat 22-23 UTC", "22", "no time of day", "such as 22:00"),
        (
            "Sat 0600-0800 UTC",
            "0600",
            "no time of day",
            "such as 22:00",
        ),
        (
            "Sat 22:00:00-23:00 UTC",
            "22:00:00",
            "no time of day",
            "such as 22:00",
        ),
        ("Sat 22:00Z-23:00Z", "22:00Z", "no time of day", "UTC"),
        ("Sat 22:00 UTC", "UTC", "`-` and an end is expected", ""),
        ("Sat 22:00-", "", "a time such as `22:00` is missing", ""),
        (
            "Sat 24:00-02:00 UTC",
            "24:00",
            "24:00 can only be an end",
            "00:00",
        ),
        (
            "Sat 22:00-22:00 UTC",
            "22:00-22:00",
            "begin and end at 22:00",
            "00:00-24:00",
        ),
        (
            "Sat 00:00-00:00 UTC",
            "00:00-00:00",
            "begin and end at 00:00",
            "00:00-24:00",
        ),
        (
            "Sat 22:00-02:00",
            "Sat 22:00-02:00",
            "need a time zone",
            "Europe/Berlin or UTC",
        ),
        (
            "Sat 22:00-02:00 Europe/Belrin",
            "Europe/Belrin",
            "is unknown",
            "did you mean Europe/Berlin?",
        ),
        (
            "Sat 22:00-02:00 Berlin",
            "Berlin",
            "is unknown",
            "did you mean Europe/Berlin?",
        ),
        (
            "Sat 22:00-02:00 New_York",
            "New_York",
            "is unknown",
            "did you mean America/New_York?",
        ),
        (
            "Sat 22:00-02:00 PDT",
            "PDT",
            "is unknown",
            "did you mean America/Los_Angeles?",
        ),
        ("Sat 22:00-02:00 Z", "Z", "is unknown", "did you mean UTC?"),
        (
            "Sat 22:00-02:00 Middle/Earth",
            "Middle/Earth",
            "is unknown",
            "IANA name",
        ),
        ("Sat 22:00-02:00 local", "local", "is unknown", "IANA name"),
        (
            "Sat 22:00-02:00 +01:00",
            "+01",
            "is unknown",
            "does not follow the clock changes",
        ),
        (
            "Sat 22:00-02:00 UTC UTC",
            "UTC",
            "`;`, `and` or `except` is expected",
            "one time zone",
        ),
        ("Sat 22:00-02:00 UTC;", "", "is missing", ""),
        (
            "Sat 22:00-02:00 UTC excpet 2026-12-24",
            "excpet",
            "is expected",
            "did you mean `except`?",
        ),
        (
            "Sat 22:00-02:00 without 2026-12-24",
            "without",
            "is unknown",
            "did you mean `except`?",
        ),
        (
            "Sat 20:00-21:00 UTC; Sun 20:00-21:00; Mon 20:00-21:00 Asia/Tokyo",
            "Sun 20:00-21:00",
            "several time zones (UTC, Asia/Tokyo)",
            "here too",
        ),
        (
            "Sat 20:00-21:00 UTC; Mon 20:00-21:00 Asia/Tokyo except 2026-12-24",
            "2026-12-24",
            "several time zones",
            "here too",
        ),
        (
            "2026-12-01T22:00/2026-12-02T02:00",
            "2026-12-01T22:00",
            "need a time zone",
            "IANA",
        ),
        (
            "2026-12-01T22:00Z/PT4H except 2026-12-01",
            "2026-12-01",
            "need a time zone",
            "IANA",
        ),
        (
            "2026-02-30T22:00Z/PT4H",
            "2026-02-30T22:00Z",
            "no date and time",
            "no such date",
        ),
        (
            "2026-12-01T25:00Z/PT4H",
            "2026-12-01T25:00Z",
            "no date and time",
            "22:00",
        ),
        (
            "2026-12-01T22Z/PT4H",
            "2026-12-01T22Z",
            "no date and time",
            "22:00",
        ),
        (
            "2026-12-01T22:00+1/PT4H",
            "2026-12-01T22:00+1",
            "no date and time",
            "+01:00",
        ),
        (
            "2026-12-01 22:00/2026-12-02 02:00 UTC",
            "2026-12-01",
            "no date and time",
            "a T between",
        ),
        (
            "2026-12-01/2026-12-02 UTC",
            "2026-12-01",
            "a date without a time",
            "2026-12-01T22:00",
        ),
        ("2026-12-01T22:00Z", "", "`/` and an end is missing", ""),
        (
            "2026-12-01T22:00Z/23:00Z",
            "23:00Z",
            "is expected",
            "whole date",
        ),
        (
            "2026-12-01T22:00Z/PT0H",
            "PT0H",
            "no length of time",
            "PT4H",
        ),
        ("2026-12-01T22:00Z/P", "P", "no length of time", "PT4H"),
        (
            "2026-12-01T22:00Z/PT1.5S",
            "PT1.5S",
            "no length of time",
            "PT4H",
        ),
        ("2026-12-01T22:00Z/P99999Y", "P99999Y", "", ""),
        (
            "2026-12-01T22:00Z/2026-12-01T22:00Z",
            "2026-12-01T22:00Z/2026-12-01T22:00Z",
            "not later",
            "first",
        ),
        (
            "2026-12-01T22:00+02:00[Europe/Berlin]/PT4H",
            "2026-12-01T22:00+02:00[Europe/Berlin]",
            "Europe/Berlin is not at +02:00 then, but at +01:00",
            "leave one",
        ),
        (
            "2026-12-01T22:00[Europe/Belrin]/PT4H",
            "Europe/Belrin",
            "is unknown",
            "Europe/Berlin?",
        ),
        ("2026-12-01T22:00[UTC/PT4H", "UTC/PT4H", "is unknown", ""),
        (
            "2026-03-29T02:15/2026-03-29T02:45 Europe/Berlin",
            "2026-03-29T02:15/2026-03-29T02:45",
            "never opens",
            "clock change",
        ),
        (
            "9999-12-29T22:00Z/PT40H",
            "PT40H",
            "beyond the years",
            "year",
        ),
        (
            "except 2026-12-24",
            "except",
            "a window is missing",
            "when it is open",
        ),
        (
            "Sat 22:00-02:00 UTC except",
            "",
            "a date such as `2026-12-24` is missing",
            "",
        ),
        (
            "Sat 22:00-02:00 UTC except Xmas",
            "Xmas",
            "a date such as",
            "",
        ),
        (
            "Sat 22:00-02:00 UTC except 2026-13-24",
            "2026-13-24",
            "no date",
            "no such date",
        ),
        (
            "Sat 22:00-02:00 UTC except 2026-12-26/2026-12-24",
            "2026-12-24",
            "not later",
            "2026-12-24/2026-12-26",
        ),
        (
            "Sat 22:00-02:00 UTC except 2026-12-24/2026-12-26T12:00",
            "2026-12-24/2026-12-26T12:00",
            "one end is a date and the other",
            "two dates",
        ),
        (
            "Sat 22:00-02:00 UTC except 2026-12-24/P3D",
            "P3D",
            "no date and time",
            "excepted too",
        ),
        (
            "Sat 22:00-02:00 UTC except 2026-12-24; Sun 22:00-23:00 UTC",
            ";",
            "stands behind",
            "come last",
        ),
        (
            "Sat 22:00-02:00 UTC except 2026-12-24, Sun 22:00-23:00 UTC",
            "Sun",
            "stands behind",
            "before `except`",
        ),
    ];
    for (spec, part, problem, hint) in cases {
        let error = match Window::parse(spec) {
            Err(error) => error,
            Ok(window) => panic!("{spec:?} is read as {window}"),
        };
        assert_eq!(&spec[error.start..error.end], part, "{spec:?}: {error}");
        assert!(
            error.problem.to_string().contains(problem),
            "{spec:?}: {error}"
        );
        let given = error.hint.as_deref().unwrap_or_default();
        assert!(given.contains(hint), "{spec:?}: {error}");
        if hint.is_empty() && !problem.is_empty() {
            continue;
        }
        assert!(error.to_string().contains(given), "{spec:?}: {error}");
    }
}
