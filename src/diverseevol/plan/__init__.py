"""What a run will cost: worked out (`estimate`) from what is known of it (`facts`) and a device (`rates`)."""
