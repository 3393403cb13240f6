"""The course: assignments are released, collected, and graded by what the students computed."""
