"""The version of this program; also used for the package metadata."""

__version__ = "0.1.0"
