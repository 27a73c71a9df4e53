"""Network policy: the file's rules and the runtime blocks, in the kernel's maps, where they outlive the daemon."""
