"""What happens in a conversation, as items with a beginning and an end, for front ends that tell their clients so."""
