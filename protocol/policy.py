"""Approval policies and sandbox modes: when the user is asked, and where commands may write."""

from typing import Literal, TypeAlias

ApprovalPolicy: TypeAlias = Literal["untrusted", "on-failure", "on-request", "never"]
SandboxMode: TypeAlias = Literal["read-only", "workspace-write", "danger-full-access"]
