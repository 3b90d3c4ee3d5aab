"""Operations on files that a client asks for, carried out within the sandbox."""
