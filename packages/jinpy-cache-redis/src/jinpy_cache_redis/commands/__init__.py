"""What each operation sends to the server, and what the replies mean."""
