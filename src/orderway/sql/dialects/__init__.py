"""One package per database: its connections, its hot statements written by hand, its errors."""
