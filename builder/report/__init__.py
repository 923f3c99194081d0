"""What people and programs see of a build. Everything here is drawn from events; nothing else is imported."""
