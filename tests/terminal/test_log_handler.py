"""Log records become lines for the user."""

from __future__ import annotations

import logging

from ganforge.terminal.log_handler import show_messages


def test_warnings_get_a_prefix_notes_do_not_and_debug_records_are_not_shown():
    shown, log = [], logging.getLogger("ganforge.somewhere")
    with show_messages(shown.append):
        log.warning("%d files left out", 3)
        log.info("measuring")
        log.debug("for developers")
    assert shown == ["warning: 3 files left out", "measuring"]


def test_only_the_innermost_block_shows_a_record_and_the_outer_one_is_restored():
    outer, inner, log = [], [], logging.getLogger("ganforge.somewhere")
    level = logging.getLogger("ganforge").level
    with show_messages(outer.append, outer.append):
        with show_messages(inner.append) as handler:
            log.info("one")
            handler.note = outer.append
            log.warning("two")
        log.warning("three")
    assert (inner, outer) == (["one"], ["warning: two", "three"])
    assert logging.getLogger("ganforge").level == level
