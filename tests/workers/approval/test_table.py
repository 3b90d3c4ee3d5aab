"""Promise about the docs: they show the rules that are in force."""

import os

from workers.approval.table import page

PAGE = os.path.join(os.path.dirname(__file__), "../../../docs/approvals.md")


def test_page_is_up_to_date() -> None:
    with open(PAGE, encoding="utf-8") as file:
        assert file.read() == page(), "run: python -m workers.approval.table > docs/approvals.md"
