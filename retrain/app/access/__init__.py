"""Who may do what to which thing, and the record of what they did."""
