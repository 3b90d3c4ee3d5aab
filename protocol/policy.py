"""Approval policies and sandbox modes: when the user is asked, and where commands may write."""

from typing import Literal, TypeAlias

ApprovalPolicy: TypeAlias = Literal["untrusted", "on-failure", "on-request", "never"]
Reviewer: TypeAlias = Literal["user", "auto_review"]
"""Who decides what needs consent: the user, or a request of its own to the model."""
SandboxMode: TypeAlias = Literal["read-only", "workspace-write", "danger-full-access"]
