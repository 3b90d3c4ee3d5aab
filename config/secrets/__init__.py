"""What holds secrets, among the files of a home and in the settings."""
