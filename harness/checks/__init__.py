"""Commands that check the project, and layer files, on their own."""
