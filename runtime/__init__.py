"""What every process of ours stands on: its mailbox sockets, its hardening, its lifeline and its log."""
