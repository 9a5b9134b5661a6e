"""What an archive on a cluster costs besides its workers."""
