"""What two results of a task differ in, and where two executions of it part."""
