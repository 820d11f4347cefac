#!/usr/bin/env python3
"""Says when release windows are open, by brute force, for comparison with the Rust code.

Only Python's zoneinfo is used. The method is not that of the Rust code: around every clock change
the minutes are walked one by one with what the clock on the wall shows. An edge of a window may be
any minute at which the wall shows its time (none: the minute of the jump; two: both), and of all
pairs of edges the one that makes the shortest window counts. Minutes are painted into a map, and
exceptions wipe minutes out again; joining and cutting follow from the map by themselves.

Output, tab separated:
  zone    ZONE                                            one that is looked at
  change  ZONE  EPOCH  OFFSET-BEFORE  OFFSET-AFTER       what the zone data say, in seconds
  case    SPEC  FROM   TO  START-END START-END ...       the openings, clipped to FROM..TO (epoch)
"""

import sys
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

ZONES = [
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata",
    "America/Sao_Paulo", "Africa/Casablanca", "Pacific/Apia", "Asia/Kathmandu",
    "America/St_Johns", "Pacific/Chatham", "Africa/Cairo", "Europe/Dublin", "Asia/Tehran", "UTC",
    # The clock changes at midnight, or by two hours.
    "America/Havana", "Atlantic/Azores", "Asia/Beirut", "America/Santiago", "Antarctica/Troll",
]
FIRST, LAST = 2024, 2034
DAY = 1440
MARGIN = 3 * DAY
ALL = {0, 1, 2, 3, 4, 5, 6}
MON_FRI = {0, 1, 2, 3, 4}
ORIGIN = date(1970, 1, 1).toordinal()


def clock(text):
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def weekly(days, start, end):
    return ("weekly", days, clock(start), clock(end))


# The text for the Rust code, and beside it what is meant, written down a second time by hand.
# {z} is the zone, {d} the local date of the clock change, {p} the day before, {n} the day after.
CASES = [
    ("daily 01:30-03:30 {z}", [weekly(ALL, "01:30", "03:30")], []),
    ("daily 02:00-03:00 {z}", [weekly(ALL, "02:00", "03:00")], []),
    ("daily 02:30-04:00 {z}", [weekly(ALL, "02:30", "04:00")], []),
    ("daily 01:00-02:30 {z}", [weekly(ALL, "01:00", "02:30")], []),
    ("daily 03:00-02:00 {z}", [weekly(ALL, "03:00", "02:00")], []),
    ("daily 00:00-00:30 {z}", [weekly(ALL, "00:00", "00:30")], []),
    ("daily 23:30-00:30 {z}", [weekly(ALL, "23:30", "00:30")], []),
    ("daily 01:45-02:15 {z}", [weekly(ALL, "01:45", "02:15")], []),
    ("Sat 22:00-02:00 {z}", [weekly({5}, "22:00", "02:00")], []),
    ("Sat 23:30-02:30 {z}", [weekly({5}, "23:30", "02:30")], []),
    ("Fri-Mon 02:15-02:45 {z}", [weekly({4, 5, 6, 0}, "02:15", "02:45")], []),
    ("Sat,Sun 00:00-24:00 {z}", [weekly({5, 6}, "00:00", "24:00")], []),
    ("Sun 00:00-24:00 {z}", [weekly({6}, "00:00", "24:00")], []),
    ("daily 00:00-24:00 {z}", [weekly(ALL, "00:00", "24:00")], []),
    ("daily 00:00-12:00 {z}; daily 12:00-24:00 {z}",
     [weekly(ALL, "00:00", "12:00"), weekly(ALL, "12:00", "24:00")], []),
    ("Mon-Fri 20:00-23:00; Sat 22:00-02:00 {z}",
     [weekly(MON_FRI, "20:00", "23:00"), weekly({5}, "22:00", "02:00")], []),
    ("daily 22:00-24:00, Sun 00:00-02:00 and Sun 01:30-03:00 {z}",
     [weekly(ALL, "22:00", "24:00"), weekly({6}, "00:00", "02:00"),
      weekly({6}, "01:30", "03:00")], []),
    ("Mon,Wed and Sun 00:30-01:30, Tue-Thu 01:00-03:00, Sat-Sun 02:30-02:00 {z}",
     [weekly({0, 2, 6}, "00:30", "01:30"), weekly({1, 2, 3}, "01:00", "03:00"),
      weekly({5, 6}, "02:30", "02:00")], []),
    ("daily 00:00-24:00 {z} except {d}",
     [weekly(ALL, "00:00", "24:00")], [("dates", "{d}", "{d}")]),
    ("daily 20:00-04:00 {z} except {d}/{n}",
     [weekly(ALL, "20:00", "04:00")], [("dates", "{d}", "{n}")]),
    ("daily 20:00-04:00 {z} except {p}, {n}",
     [weekly(ALL, "20:00", "04:00")], [("dates", "{p}", "{p}"), ("dates", "{n}", "{n}")]),
    ("daily 00:00-24:00 {z} except {d}T00:30/{d}T02:30",
     [weekly(ALL, "00:00", "24:00")], [("between", "{d} 00:30", "{d} 02:30")]),
    ("daily 22:00-03:00 {z} except {d}T02:15/{d}T02:45",
     [weekly(ALL, "22:00", "03:00")], [("between", "{d} 02:15", "{d} 02:45")]),
    ("{p}T22:00/{d}T02:30 {z}", [("once", "{p} 22:00", "{d} 02:30")], []),
    ("{d}T02:00[{z}]/{n}T00:00", [("once", "{d} 02:00", "{n} 00:00")], []),
    ("{d}T02:15/{d}T02:45 {z}", [("once", "{d} 02:15", "{d} 02:45")], []),
    ("{d}T01:30[{z}]/PT2H30M; daily 23:30-01:40 {z}",
     [("length", "{d} 01:30", 150), weekly(ALL, "23:30", "01:40")], []),
]

# With a second zone. Only for some, because its minutes must be walked too.
SECOND = {"America/New_York": "Europe/Berlin", "Pacific/Chatham": "Australia/Lord_Howe"}


class Wall:
    """What the clock on the wall shows, minute by minute, from one minute of UTC to another."""

    def __init__(self, zone, first, last):
        self.first = first
        self.shown = []
        for minute in range(first, last, 60):
            # Minute by minute only in the hours in which the offset changes.
            hour = range(minute, min(minute + 60, last))
            offset = offset_at(zone, minute * 60)
            if offset == offset_at(zone, minute * 60 + 3600):
                self.shown.extend(range(hour.start + offset // 60, hour.stop + offset // 60))
            else:
                self.shown.extend(each + offset_at(zone, each * 60) // 60 for each in hour)
        self.minutes = {}
        for place, shown in enumerate(self.shown):
            self.minutes.setdefault(shown, []).append(place)
        self.jumps = [place for place in range(1, len(self.shown))
                      if self.shown[place] > self.shown[place - 1] + 1]

    def places(self, shown):
        """Every minute at which the wall shows this; the minute of the jump when it never does."""
        if shown in self.minutes:
            return self.minutes[shown]
        for place in self.jumps:
            if self.shown[place - 1] < shown < self.shown[place]:
                return [place]
        return []

    def dates(self):
        return range(self.shown[0] // DAY + 1, self.shown[-1] // DAY)


def shortest(starts, ends):
    return min(((end - start, start, end) for start in starts for end in ends), default=(0, 0, 0))


def longest(starts, ends):
    return max(((end - start, start, end) for start in starts for end in ends), default=(0, 0, 0))


def paint(sky, length_start_end, colour):
    length, start, end = length_start_end
    if length > 0:
        sky[start:end] = bytes([colour]) * length


def paint_weekly(sky, wall, days, start, end):
    if start == 0 and end == DAY:
        return paint_whole_days(sky, wall, days)
    for day in wall.dates():
        if (day + 3) % 7 in days:  # 1970-01-01 was a Thursday.
            closes = day * DAY + end + (DAY if end <= start else 0)
            paint(sky, shortest(wall.places(day * DAY + start), wall.places(closes)), 1)


def paint_whole_days(sky, wall, days):
    """Neighbouring days are one stretch; its outer midnights are its edges."""
    dates = list(wall.dates())
    open_days = [day for day in dates if (day + 3) % 7 in days]
    for day in open_days:
        if day - 1 in open_days:
            continue
        last = day
        while last + 1 in open_days:
            last += 1
        # A stretch that reaches the end of what was walked has no edge there.
        starts = [0] if day == dates[0] else wall.places(day * DAY)
        ends = [len(sky)] if last == dates[-1] else wall.places((last + 1) * DAY)
        paint(sky, shortest(starts, ends), 1)


def shown_at(text):
    day, time = text.split(" ")
    return (date.fromisoformat(day).toordinal() - ORIGIN) * DAY + clock(time)


def wipe_dates(sky, wall, first, last):
    days = range(date.fromisoformat(first).toordinal() - ORIGIN,
                 date.fromisoformat(last).toordinal() - ORIGIN + 1)
    low, high = days.start * DAY, days.stop * DAY
    for place, shown in enumerate(wall.shown):
        if low <= shown < high:
            sky[place] = 0


def openings(sky, wall, low, high):
    """The painted runs between two minutes of UTC, in seconds."""
    seen = bytes(sky[low - wall.first:high - wall.first])
    found, at = [], seen.find(1)
    while at >= 0:
        behind = seen.find(0, at)
        behind = len(seen) if behind < 0 else behind
        found.append(f"{(low + at) * 60}-{(low + behind) * 60}")
        at = seen.find(1, behind)
    return " ".join(found)


def run_case(case, wall, names, low, high):
    spec, parts, exceptions = case
    sky = bytearray(len(wall.shown))
    for part in parts:
        if part[0] == "weekly":
            paint_weekly(sky, wall, *part[1:])
        elif part[0] == "once":
            starts, ends = (wall.places(shown_at(text.format(**names))) for text in part[1:])
            paint(sky, shortest(starts, ends), 1)
        else:
            start = max(wall.places(shown_at(part[1].format(**names))))
            paint(sky, (part[2], start, start + part[2]), 1)
    for kind, first, last in exceptions:
        first, last = first.format(**names), last.format(**names)
        if kind == "dates":
            wipe_dates(sky, wall, first, last)
        else:
            paint(sky, longest(wall.places(shown_at(first)), wall.places(shown_at(last))), 0)
    report(spec.format(**names), sky, wall, low, high)


def report(spec, sky, wall, low, high):
    print("case", spec, low * 60, high * 60, openings(sky, wall, low, high), sep="\t")


def run_second(second, wall, zone_name, low, high):
    """A window in two zones."""
    other = Wall(ZoneInfo(second), wall.first, wall.first + len(wall.shown))
    sky = bytearray(len(wall.shown))
    paint_weekly(sky, wall, ALL, clock("22:00"), clock("02:30"))
    paint_weekly(sky, other, {5, 6}, clock("02:30"), clock("06:00"))
    wipe_dates(sky, other, *["2026-03-29"] * 2)
    spec = (f"daily 22:00-02:30 {zone_name}; Sat-Sun 02:30-06:00 {second} "
            f"except 2026-03-29 {second}")
    report(spec, sky, wall, low, high)


def offset_at(zone, second):
    return round(datetime.fromtimestamp(second, zone).utcoffset().total_seconds())


def changes(zone):
    """Every change of the offset: steps of two hours, then by halves."""
    step = 7200
    second = int(datetime(FIRST, 1, 1, tzinfo=timezone.utc).timestamp())
    stop = int(datetime(LAST + 1, 1, 1, tzinfo=timezone.utc).timestamp())
    while second < stop:
        before, after = offset_at(zone, second), offset_at(zone, second + step)
        if before != after:
            low, high = second, second + step
            while high - low > 1:
                middle = (low + high) // 2
                if offset_at(zone, middle) == before:
                    low = middle
                else:
                    high = middle
            yield high, before, after
        second += step


def main():
    for name in ZONES:
        try:
            zone = ZoneInfo(name)
        except ZoneInfoNotFoundError:
            sys.exit(f"zoneinfo has no {name}: install the system package tzdata, "
                     "or `pip install tzdata`")
        print("zone", name, sep="\t")
        centres = []
        for second, before, after in changes(zone):
            print("change", name, second, before, after, sep="\t")
            centres.append(second // 60)
        # Ordinary weeks too: January and July in turn.
        for year in range(FIRST, LAST + 1):
            noon = datetime(year, 1 if year % 2 else 7, 15, 12, tzinfo=timezone.utc)
            centres.append(int(noon.timestamp()) // 60)
        for centre in centres:
            low, high = centre - MARGIN, centre + MARGIN
            # Three days more on both sides, so that no edge of an opening is out of sight.
            wall = Wall(zone, low - 3 * DAY, high + 3 * DAY)
            day = datetime.fromtimestamp(centre * 60, zone).date()
            names = {"z": name, "d": day, "p": day - timedelta(days=1),
                     "n": day + timedelta(days=1)}
            names = {key: str(value) for key, value in names.items()}
            for case in CASES:
                run_case(case, wall, names, low, high)
            if name in SECOND:
                run_second(SECOND[name], wall, name, low, high)


main()
