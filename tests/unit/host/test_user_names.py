from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from raqib.host import user_names
from raqib.host.user_names import MOST_BYTES, NameFile, _read, group_name, user_name


def test_names_are_those_of_this_host() -> None:
    assert pwd.getpwuid(0).pw_name == user_name(0)
    assert grp.getgrgid(0).gr_name == group_name(0)
    assert None is user_name(2**32 - 2)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "passwd"
    names = NameFile(file)
    assert None is names.name(7)
    file.write_text("seven:x:7:7::/:/bin/sh\n")
    assert "seven" == names.name(7)
    (tmp_path / "new").write_text("other:x:7:7::/:/bin/sh\n")
    (tmp_path / "new").rename(file)
    assert "other" == names.name(7)
    file.unlink()
    assert None is names.name(7)


def test_what_does_not_change_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counted(path: Path) -> dict[int, str]:
        read.append(path)
        return _read(path)

    monkeypatch.setattr(user_names, "_read", counted)
    file = tmp_path / "passwd"
    file.write_text("seven:x:7:7::/:/bin/sh\n")
    names = NameFile(file)
    assert ["seven"] * 3 == [names.name(7) for _ in range(3)]
    assert [file] == read


def test_lines_that_are_no_entries_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "passwd"
    file.write_bytes(
        b"+::::::\n\n# comment\nx:y\nnobody:x:-2:\n:x:5:\nfirst:x:6:6::/:/bin/sh\nsecond:x:6:6::/:/bin/sh\n\xff:x:8:\n"
    )
    names = NameFile(file)
    assert ["first", "\N{REPLACEMENT CHARACTER}", None] == [names.name(number) for number in (6, 8, 5)]


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "passwd")
    assert None is NameFile(tmp_path / "passwd").name(0)


def test_no_more_is_read_than_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "passwd"
    with file.open("wb") as written:
        written.write(b"seven:x:7:\n")
        written.truncate(MOST_BYTES)
        written.seek(MOST_BYTES)
        written.write(b"\neight:x:8:\n")
    names = NameFile(file)
    assert ("seven", None) == (names.name(7), names.name(8))
