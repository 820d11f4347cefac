use super::*;

#[test]
fn the_start_belongs_to_it_and_the_end_does_not() {
    let w = window("Sat 22:00-02:00 Europe/Berlin");
    let open = w
        .opening_at(at("2026-12-05T21:00:00Z"))
        .expect("open at its start");
    assert_eq!(
        (open.start, open.end),
        (at("2026-12-05T21:00:00Z"), at("2026-12-06T01:00:00Z"))
    );
    assert!(w.opening_at(at("2026-12-05T20:59:59.999999999Z")).is_none());
    assert_eq!(
        w.opening_at(at("2026-12-06T00:59:59.999999999Z")),
        Some(open.clone())
    );
    assert!(w.opening_at(at("2026-12-06T01:00:00Z")).is_none());
    assert_eq!(
        w.next_opening(at("2026-12-06T00:59:59Z")),
        Some(open.clone())
    );
    let next = w
        .next_opening(at("2026-12-06T01:00:00Z"))
        .expect("next week");
    assert_eq!(next.start, at("2026-12-12T21:00:00Z"));
    assert_eq!(open.length(), Duration::from_secs(4 * 3600));
    assert_eq!(
        open.show(&w.zone().expect("Berlin")),
        "Sat 2026-12-05 22:00 +01:00 to Sun 2026-12-06 02:00 +01:00 Europe/Berlin, 4h"
    );
    assert_eq!(open.notes(), []);
}

/// The examples of the manual, in Berlin: forward on 2026-03-29 at 01:00Z, back on 2026-10-25.
#[test]
fn clock_changes_make_it_shorter() {
    let on = |spec: &str, day: &str| {
        let spec = format!("Sun {spec} Europe/Berlin");
        list(
            &spec,
            &format!("{day}T00:00:00Z"),
            &format!("{day}T12:00:00Z"),
        )
        .join(" ")
    };
    let (forward, back) = ("2026-03-29", "2026-10-25");
    assert_eq!(on("01:30-03:30", forward), "03-29T00:30/03-29T01:30 1h");
    assert_eq!(on("02:30-04:00", forward), "03-29T01:00/03-29T02:00 1h");
    assert_eq!(on("01:00-02:30", forward), "03-29T00:00/03-29T01:00 1h");
    assert_eq!(on("02:15-02:45", forward), "");
    assert_eq!(on("02:00-03:00", forward), "");
    assert_eq!(on("01:30-03:30", back), "10-24T23:30/10-25T02:30 3h");
    assert_eq!(on("02:30-04:00", back), "10-25T01:30/10-25T03:00 1h30m");
    assert_eq!(on("01:00-02:30", back), "10-24T23:00/10-25T00:30 1h30m");
    assert_eq!(on("02:00-03:00", back), "10-25T01:00/10-25T02:00 1h");
    assert_eq!(on("02:15-02:45", back), "");
}

#[test]
fn notes_tell_what_the_clock_does() {
    let forward = "2026-03-29T00:00:00Z";
    assert_eq!(
        notes("Sun 02:30-04:00 Europe/Berlin", forward),
        ["start 02:30 does not exist on 2026-03-29 in Europe/Berlin, opens at 03:00"]
    );
    assert_eq!(
        notes("Sun 01:00-02:30 Europe/Berlin", forward),
        ["end 02:30 does not exist on 2026-03-29 in Europe/Berlin, closes at 02:00"]
    );
    assert_eq!(
        notes("Sun 01:30-03:30 Europe/Berlin", forward),
        ["clock goes forward by 1h inside, in Europe/Berlin"]
    );
    assert_eq!(
        notes(
            "Sun 01:00-03:00 Australia/Lord_Howe",
            "2026-04-04T12:00:00Z"
        ),
        ["clock goes back by 30m inside, in Australia/Lord_Howe"]
    );
    let back = "2026-10-25T00:00:00Z";
    assert_eq!(
        notes("Sun 02:30-04:00 Europe/Berlin", back),
        ["start 02:30 comes twice on 2026-10-25 in Europe/Berlin, opens the second time (+01:00)"]
    );
    assert_eq!(
        notes("Sat 23:00-02:30 Europe/Berlin", back),
        ["end 02:30 comes twice on 2026-10-25 in Europe/Berlin, closes the first time (+02:00)"]
    );
    assert_eq!(
        notes("2026-10-25T02:30/2026-10-25T05:00 Europe/Berlin", back),
        ["start 02:30 comes twice on 2026-10-25 in Europe/Berlin, opens the second time (+01:00)"]
    );
    assert_eq!(
        notes(
            "Sat 22:00-02:00 UTC except 2026-12-05",
            "2026-12-05T00:00:00Z"
        ),
        ["opens later because of an exception"]
    );
    assert_eq!(
        notes(
            "Sat 22:00-02:00 UTC except 2026-12-06",
            "2026-12-05T00:00:00Z"
        ),
        ["closes earlier because of an exception"]
    );
    // The clock of the other zone changes inside a joint opening.
    assert_eq!(
        notes(
            "Sun 00:30-02:00 UTC; Sun 02:30-06:00 Europe/Berlin",
            forward
        ),
        ["clock goes forward by 1h inside, in Europe/Berlin",]
    );
    let opening = window("Sun 02:30-04:00 Europe/Berlin")
        .next_opening(at(forward))
        .expect("one");
    let json = serde_json::to_string(&opening).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Opening>(&json).expect("an opening"),
        opening
    );
}

/// Days that do not exist, days that come twice, and midnights that come twice on two dates.
#[test]
fn odd_days() {
    // Samoa had no 2011-12-30, a Friday.
    let apia = |spec: &str| list(spec, "2011-12-29T00:00:00Z", "2012-01-01T00:00:00Z");
    assert_eq!(apia("Fri 20:00-23:00 Pacific/Apia"), Vec::<String>::new());
    assert_eq!(
        apia("Thu 22:00-02:00 Pacific/Apia"),
        ["12-30T08:00/12-30T10:00 2h"]
    );
    assert_eq!(
        apia("Fri 22:00-02:00 Pacific/Apia"),
        ["12-30T10:00/12-30T12:00 2h"]
    );
    assert_eq!(apia("Fri 00:00-24:00 Pacific/Apia"), Vec::<String>::new());
    assert_eq!(
        apia("Thu-Sat 00:00-24:00 Pacific/Apia"),
        ["12-29T10:00/12-31T10:00 2d"]
    );
    let from = at("2011-12-28T00:00:00Z");
    let cut = window("daily 00:00-24:00 Pacific/Apia except 2011-12-30");
    assert!(
        cut.opening_at(from).expect("always").is_endless(),
        "a day that is not excepts nothing"
    );
    // Kwajalein skipped 1993-08-21 too, after it had lived 1969-09-30 twice.
    for spec in [
        "daily 10:00-11:00",
        "daily 22:00-02:00",
        "Tue 00:00-24:00",
        "daily 02:00-01:00",
    ] {
        for from in ["1969-09-25T00:00:00Z", "1993-08-15T00:00:00Z"] {
            let spec = format!("{spec} Pacific/Kwajalein");
            assert!(
                window(&spec).openings(at(from)).take(20).count() == 20,
                "{spec}"
            );
        }
    }
    // Newfoundland put its clock back at 00:01, to 23:01 of the day before: 2006-10-28 came again.
    let johns = "daily 00:00-24:00 America/St_Johns except 2006-10-28";
    let again = window(johns)
        .opening_at(at("2006-10-29T12:00:00Z"))
        .expect("open");
    assert_eq!(again.start, at("2006-10-29T03:30:00Z"));
    let johns = "daily 00:00-24:00 America/St_Johns except 2006-10-29";
    let before = window(johns)
        .opening_at(at("2006-10-28T12:00:00Z"))
        .expect("open");
    assert_eq!(before.end, at("2006-10-29T02:30:00Z"));
    // In Havana the hour from midnight came twice: no edge between whole days, one elsewhere.
    let havana = |spec: &str| list(spec, "2025-11-01T06:00:00Z", "2025-11-03T04:59:00Z");
    assert_eq!(
        havana("Sat,Sun 00:00-24:00 America/Havana"),
        ["11-01T04:00/11-03T05:00 2d1h"]
    );
    assert_eq!(
        havana("Sun 00:00-24:00 America/Havana"),
        ["11-02T05:00/11-03T05:00 1d"]
    );
    let split = "Sat 22:00-24:00; Sun 00:00-02:00 America/Havana";
    assert_eq!(
        havana(split),
        ["11-02T02:00/11-02T04:00 2h", "11-02T05:00/11-02T07:00 2h"]
    );
    let whole = list(
        "Sun 00:00-24:00 America/Havana except 2025-11-01",
        "2025-11-01T06:00:00Z",
        "2025-11-03T04:59:00Z",
    );
    assert_eq!(whole, ["11-02T05:00/11-03T05:00 1d"]);
}

#[test]
fn touching_openings_are_one() {
    let from = "2026-12-07T00:00:00Z";
    let to = "2026-12-10T00:00:00Z";
    let joined = ["12-07T22:00/12-08T03:00 5h"];
    assert_eq!(
        list("Mon 22:00-24:00, Tue 00:00-03:00 UTC", from, to),
        joined
    );
    assert_eq!(
        list("Mon 22:00-02:00, Tue 01:00-03:00 UTC", from, to),
        joined
    );
    assert_eq!(
        list(
            "Mon 22:00-02:00 Europe/Berlin; Tue 03:00-04:00 Europe/Berlin; Mon 22:30-23:00 UTC",
            from,
            to
        ),
        ["12-07T21:00/12-08T01:00 4h", "12-08T02:00/12-08T03:00 1h"]
    );
    assert_eq!(
        list(
            "Mon 22:00-23:00 UTC; Tue 00:00-04:00 Europe/Berlin",
            from,
            to
        ),
        joined
    );
    assert_eq!(
        list(
            "Mon 22:00-23:00 UTC, 2026-12-07T23:00Z/2026-12-08T03:00Z",
            from,
            to
        ),
        joined
    );
    // The true start of a long one, however late one asks.
    let long = "Mon-Fri 00:00-12:00; Mon-Fri 12:00-24:00 UTC; 2026-11-30T00:00Z/2026-12-08T00:00Z";
    let open = window(long)
        .opening_at(at("2026-12-11T23:59:00Z"))
        .expect("open");
    assert_eq!(
        (open.start, open.end),
        (at("2026-11-30T00:00:00Z"), at("2026-12-12T00:00:00Z"))
    );
    let years = "2016-01-04T00:00Z/2030-01-04T00:00Z; Sun 00:00-24:00, Thu,Fri 00:00-24:00 UTC";
    let open = window(years)
        .opening_at(at("2026-12-11T23:59:00Z"))
        .expect("open");
    assert_eq!(
        (open.start, open.end),
        (at("2016-01-03T00:00:00Z"), at("2030-01-05T00:00:00Z"))
    );
}

#[test]
fn endless_windows() {
    let now = at("2026-12-11T23:59:00Z");
    let (none, some) = (" UTC", " UTC except 2026-12-24/2026-12-26");
    for days in [
        "daily 00:00-24:00",
        "daily 00:00-12:00; daily 12:00-24:00",
        "Mon-Fri 00:00-24:00; Sat,Sun 00:00-24:00",
    ] {
        let always = window(&format!("{days}{none}"));
        let open = always.opening_at(now).expect("open");
        assert_eq!(
            (open.start, open.end),
            (Timestamp::MIN, Timestamp::MAX),
            "{days}"
        );
        assert_eq!(open.show(&TimeZone::UTC), "always open");
        assert_eq!(always.openings(now).count(), 1);
        assert!(matches!(
            always.fits(now, Duration::from_secs(1 << 35)),
            Fit::Open { .. }
        ));
        let frozen = window(&format!("{days}{some}"));
        let openings: Vec<Opening> = frozen.openings(now).collect();
        assert_eq!(openings.len(), 2, "{days}");
        assert_eq!(
            openings[0].show(&TimeZone::UTC),
            "until Thu 2026-12-24 00:00 +00:00 UTC"
        );
        assert_eq!(
            openings[1].show(&TimeZone::UTC),
            "from Sun 2026-12-27 00:00 +00:00 UTC, without end"
        );
        assert_eq!(openings[1].start, at("2026-12-27T00:00:00Z"));
    }
}

#[test]
fn exceptions_take_away() {
    let from = "2026-12-18T01:00:00Z";
    let list = |spec: &str, to: &str| list(spec, from, to);
    // The last date is excepted too, and the night from it into the next day is cut at midnight.
    assert_eq!(
        list(
            "daily 22:00-02:00 Europe/Berlin except 2026-12-20/2027-01-06",
            "2027-01-08T12:00:00Z"
        ),
        [
            "12-18T21:00/12-19T01:00 4h",
            "12-19T21:00/12-19T23:00 2h",
            "01-06T23:00/01-07T01:00 2h",
            "01-07T21:00/01-08T01:00 4h",
        ]
    );
    // A hole makes two openings of one, and overlapping exceptions are one.
    assert_eq!(
        list(
            "Fri 08:00-20:00 UTC except 2026-12-18T10:00/2026-12-18T11:00, 2026-12-18T10:30/PT1H",
            "2026-12-19T00:00:00Z"
        ),
        [
            "12-18T08:00/12-18T10:00 2h",
            "12-18T11:30/12-18T20:00 8h30m"
        ]
    );
    // The date is that of the zone of the exception.
    assert_eq!(
        list(
            "Fri 08:00-20:00 UTC except 2026-12-19 Asia/Tokyo",
            "2026-12-19T00:00:00Z"
        ),
        ["12-18T08:00/12-18T15:00 7h"]
    );
    // Nothing within ten years, but something just before they are over.
    let now = at("2026-12-18T00:00:00Z");
    assert_eq!(
        window("daily 20:00-21:00 UTC except 2026-01-01/2036-12-31").next_opening(now),
        None
    );
    let late = window("daily 20:00-21:00 UTC except 2026-01-01/2036-12-01").next_opening(now);
    assert_eq!(
        late.expect("after ten years").start,
        at("2036-12-02T20:00:00Z")
    );
    assert_eq!(window("2026-12-01T00:00Z/PT1H").next_opening(now), None);
    assert_eq!(
        window("2026-12-19T00:00Z/PT1H except 2026-12-19 UTC").next_opening(now),
        None
    );
}

#[test]
fn fits_says_what_is_left() {
    let w = window("Sat 22:00-02:00 Europe/Berlin");
    let (now, until) = (at("2026-12-06T00:00:00Z"), at("2026-12-06T01:00:00Z"));
    let hour = Duration::from_secs(3600);
    assert_eq!(w.fits(now, hour), Fit::Open { until, left: hour });
    let more = hour + Duration::from_nanos(1);
    assert_eq!(w.fits(now, more), Fit::TooShort { until, left: hour });
    let Fit::Closed { next: Some(next) } = w.fits(until, Duration::ZERO) else {
        panic!("closed")
    };
    assert_eq!(next.start, at("2026-12-12T21:00:00Z"));
    let over = window("2026-12-01T00:00Z/PT1H");
    assert_eq!(over.fits(now, hour), Fit::Closed { next: None });
    // A clock change counts as it passes: 01:30 to 03:30 is one hour long that night.
    let spring = window("Sun 01:30-03:30 Europe/Berlin");
    let start = at("2026-03-29T00:30:00Z");
    assert!(matches!(spring.fits(start, hour), Fit::Open { left, .. } if left == hour));
    assert!(matches!(spring.fits(start, more), Fit::TooShort { .. }));
}

#[test]
fn a_zone_to_show_it_in() {
    let name = |spec: &str| {
        window(spec)
            .zone()
            .and_then(|zone| zone.iana_name().map(str::to_owned))
    };
    assert_eq!(
        name("Sat 22:00-02:00 Europe/Berlin").as_deref(),
        Some("Europe/Berlin")
    );
    assert_eq!(
        name("2026-12-01T00:00Z/PT1H Asia/Tokyo").as_deref(),
        Some("Asia/Tokyo")
    );
    assert_eq!(name("2026-12-01T00:00Z/PT1H"), None);
}

#[test]
fn the_ends_of_time_are_survived() {
    let specs = [
        "daily 22:00-02:00 Europe/Berlin",
        "daily 00:00-24:00 Pacific/Apia except 2026-12-24",
        "daily 00:00-12:00, daily 12:00-24:00 UTC",
        "0001-01-01T00:00Z/9999-12-30T00:00Z; Sun 20:00-21:00 UTC",
        "9999-12-29T00:00/9999-12-31T00:00 Pacific/Kiritimati",
    ];
    for spec in specs {
        let w = window(spec);
        for instant in [
            Timestamp::MIN,
            Timestamp::MAX,
            at("0000-01-01T00:00:00Z"),
            at("9999-12-29T12:00:00Z"),
        ] {
            let _ = (w.opening_at(instant), w.next_opening(instant));
            assert!(
                w.openings(instant)
                    .take(3)
                    .all(|o| o.start < o.end && o.end > instant),
                "{spec}"
            );
        }
        assert!(
            w.openings(at("9999-12-01T00:00:00Z")).count() < 40,
            "{spec}"
        );
    }
}
