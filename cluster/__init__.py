"""Files that start a Ray cluster; see README.md beside this one."""
