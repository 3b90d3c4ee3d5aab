"""The patch language as a Lark grammar, for models whose `apply_patch` is a freeform tool.

It accepts only the strict form; `greenroom.workers.patch.language` is more lenient.
"""

from typing import Final

LARK: Final = r"""
start: "*** Begin Patch" NL section+ "*** End Patch" NL?
section: add | delete | update
add: "*** Add File: " TEXT NL ("+" TEXT? NL)+
delete: "*** Delete File: " TEXT NL
update: "*** Update File: " TEXT NL ("*** Move to: " TEXT NL)? chunk+
chunk: header+ line+ ("*** End of File" NL)?
header: "@@" (" " TEXT)? NL
line: (" " | "+" | "-") TEXT? NL
TEXT: /[^\r\n]+/
NL: /\r?\n/
"""
