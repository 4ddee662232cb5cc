#!/usr/bin/env bash
# msgspec 0.22.0 and 0.23.0, Python 3.11.
#
# What happens: `rename=` of a Struct that derives from another renames only the fields that its own body declares.  A
# mapping that names an inherited field, `class Answer(Base, rename={"retry_after": "retryAfter"})`, is taken without an
# error and has no effect; "camel" leaves the inherited fields as they are too.  Decoded, {"retryAfter": 30} is then an
# unknown field, which is passed over, and `retry_after` has its default.  The other way round it is handed down: fields
# that a subclass adds are renamed by the `rename=` of its base.
#
# What one would guess: that a mapping which names a field of the class renames it, or is refused; the documentation of
# `rename` says "the field names used when encoding/decoding the struct", and only fields missing from the mapping are not
# renamed.  (It was so before 0.14; the pull request that added `field(name=…)`, #356, changed it deliberately.)
# Whom it hurts: who keeps common fields in a base, in Python's names, and gives the names of one API where it is spoken:
# what that API sends is lost without an error wherever the field has a default, and what is sent has the wrong name.
# What helps: `rename=` on the base; or to declare the field again in the subclass; `forbid_unknown_fields=True` while
# testing; and to look at `Answer.__struct_encode_fields__`.
#
# Seen: by mapping and by "camel": retry_after=0 from {"id":1,"retryAfter":30}; declared again: retry_after=30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/finding.py" <<'PYTHON'
import msgspec


class Base(msgspec.Struct):
    id: int
    retry_after: int = 0


class ByMapping(Base, rename={"retry_after": "retryAfter"}):
    pass


class ByConvention(Base, rename="camel"):
    sent_at: int = 0


class Again(Base, rename={"retry_after": "retryAfter"}):
    retry_after: int = 0


class Camel(msgspec.Struct, rename="camel"):
    id: int
    retry_after: int = 0


class Below(Camel):
    sent_at: int = 0


print("msgspec", msgspec.__version__)
seen = {}
for kind in (ByMapping, ByConvention, Again, Camel, Below):
    answer = msgspec.json.decode(b'{"id":1,"retryAfter":30}', type=kind)
    seen[kind] = answer.retry_after, kind.__struct_encode_fields__
    print(f"{answer!r}, encoded {msgspec.json.encode(kind(1, 30)).decode()}")
assert seen[ByMapping] == (0, ("id", "retry_after")), "it is otherwise now"
assert seen[ByConvention] == (0, ("id", "retry_after", "sentAt")), "it is otherwise now"
assert seen[Again] == seen[Camel] == (30, ("id", "retryAfter"))
assert seen[Below] == (30, ("id", "retryAfter", "sentAt"))
PYTHON
for version in 0.22.0 0.23.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "msgspec==$version"
  "$folder/$version/bin/python" "$folder/finding.py"
done
