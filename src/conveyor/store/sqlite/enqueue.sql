{arriving}
