package process

// executable is this program, also where its file was replaced or removed
// meanwhile, as by an update.
func executable() (string, error) { return "/proc/self/exe", nil }
