"""What users need to test their own hooks and adapters. Import its modules by name; this loads nothing."""
