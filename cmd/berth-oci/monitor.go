package main

func monitorMain(args []string) int { return 1 }
