package emulator

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
)

const day = int64(secondsPerDay)

// company is what the seeding has made so far: the ids that later records refer to.
type company struct {
	e    *Emulator
	now  int64 // the clock when the data was made; every stored time is relative to it
	seed uint64

	companies, locations, departments, users, userNames, groups []string
	items, services, offerings, contracts                       []string
	problems, changes                                           []string
	ghosts                                                      []string // users that were deleted
}

// seed builds the whole company.
func (e *Emulator) seed() {
	e.schemas = newSchemaSet()
	e.tables = map[string]*table{}
	e.families = map[string][]*table{}
	for _, name := range e.schemas.names {
		e.tables[name] = newTable(e.schemas.byName[name])
	}
	for _, name := range e.schemas.names {
		for _, member := range e.schemas.family(name) {
			e.families[name] = append(e.families[name], e.tables[member])
		}
	}
	e.serial.ids = rand.New(rand.NewPCG(e.cfg.Seed, 0x1d5))
	e.serial.numbers = map[string]int{}
	c := &company{e: e, now: e.now().Unix(), seed: e.cfg.Seed}
	c.seedOrganisation()
	c.seedUsers()
	c.seedItems()
	c.seedTasks()
	c.seedIncidents()
	c.seedJournals()
	c.seedDeletions()
	c.seedAttachments()
	c.seedProperties()
	c.seedTables()
	c.seedChoices()
	c.seedLayout()
}

// id is the sys_id of a seeded record, the same for the same seed.
func (c *company) id(table string, key any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %v", c.seed, table, key))
	return hex.EncodeToString(sum[:16])
}

// roll is a number below n that depends on the seed, a record and what is rolled for.
func (c *company) roll(table string, key, purpose, n int) int {
	return int(mix(c.seed^mix(uint64(key)<<8+uint64(purpose)+uint64(len(table))<<40)) % uint64(n))
}

// stamp is a stored date-time.
func (c *company) stamp(unix int64) string { return string(appendDateTime(nil, unix)) }

// add stores a record. Its system fields come from an age that depends on the key, unless given.
func (c *company) add(table string, key any, values map[string]string) string {
	t := c.e.tables[table]
	sum := sha256.Sum256(fmt.Appendf(nil, "%d age %s %v", c.seed, table, key))
	created := c.now - 800*day - int64(sum[0])*day - int64(sum[1])*300
	record := map[string]string{
		"sys_id": c.id(table, key), "sys_created_on": c.stamp(created), "sys_created_by": "admin",
		"sys_updated_on": c.stamp(created + int64(sum[2])*day + int64(sum[3])*60), "sys_updated_by": "admin",
		"sys_mod_count": strconv.Itoa(int(sum[4]) % 12), "sys_class_name": table, "sys_domain": "global", "sys_domain_path": "/",
	}
	for field, value := range values {
		record[field] = value
	}
	row := make([]string, len(t.schema.columns))
	for field, value := range record {
		if column, ok := t.schema.column(field); ok {
			row[column] = value
		} else if _, given := values[field]; given {
			panic(fmt.Sprintf("emulator: %s has no field %q", table, field))
		}
	}
	t.insert(row)
	return record["sys_id"]
}

// mix scrambles a number so that neighbours share nothing (the finaliser of splitmix64). unmix undoes it.
func mix(z uint64) uint64 {
	z ^= z >> 30
	z *= 0xbf58476d1ce4e5b9
	z ^= z >> 27
	z *= 0x94d049bb133111eb
	return z ^ z>>31
}

func unmix(z uint64) uint64 {
	z ^= z>>31 ^ z>>62
	z *= 0x319642b2d24d8ec3
	z ^= z>>27 ^ z>>54
	z *= 0x96de1b173f119089
	return z ^ z>>30 ^ z>>60
}
