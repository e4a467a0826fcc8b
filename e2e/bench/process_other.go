//go:build !linux

package main

import "time"

func processCPU(int) time.Duration { return 0 }

func processPeak(int) int64 { return 0 }

func machine() (processor, memory string) { return "", "" }
