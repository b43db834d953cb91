"""How one library carries one statement: 10 to 20 lines for each library and colour."""
