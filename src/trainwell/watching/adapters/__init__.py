"""The watcher inside other people's trainers."""
