#!/usr/bin/env bash
# cronsim 2.8 and tzdata 2026.6, Python 3.11 and later.
#
# What happens: in Santiago the clock goes from 00:00 to 01:00 on 2021-09-05 (04:00 UTC).  Asked for `*/15 1-3 * * sun`
# from one minute before that, with the zone's own time, cronsim gives 05:00 UTC (02:00 by the clock) first: the four
# times of the hour from 01:00 to 01:45, which that clock shows, are left out.
#
# What one would guess: 04:00 UTC, which is 01:00 by the clock, since no time of that hour is skipped: the hour before is.
# Whom it hurts: who runs jobs by cronsim where clocks change at midnight (Santiago, Beirut, Apia): once a year an hour's
# jobs are not run, though cronsim follows Debian's cron at other changes.
# What helps: ask it with times that have no zone (or UTC), and map the clock times that it names to moments oneself.
#
# Seen: with the zone 2021-09-05T05:00Z first; asked on a clock without a zone the first is 01:00, which is 04:00Z.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "cronsim==2.8" "tzdata==2026.6"
"$folder/venv/bin/python" - <<'PYTHON'
from datetime import datetime, timezone
from importlib.metadata import version
from zoneinfo import ZoneInfo, reset_tzpath

from cronsim import CronSim

reset_tzpath(())  # the pinned data
zone, expression = ZoneInfo("America/Santiago"), "*/15 1-3 * * sun"
start = datetime(2021, 9, 5, 3, 59, tzinfo=timezone.utc).astimezone(zone)
aware = next(CronSim(expression, start)).astimezone(timezone.utc)
naive = next(CronSim(expression, datetime(2021, 9, 5, 0, 59)))
moment = naive.replace(tzinfo=zone).astimezone(timezone.utc)
print(f"cronsim {version('cronsim')}: from {start}: {aware}; on a clock without a zone: {naive}, which is {moment}")
assert moment == datetime(2021, 9, 5, 4, 0, tzinfo=timezone.utc), moment
assert aware == datetime(2021, 9, 5, 5, 0, tzinfo=timezone.utc), "it behaves otherwise now"
PYTHON
