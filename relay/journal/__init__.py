"""The one durable log. Its invariant: what a method has answered is on the disk, whole, or the method raised."""
