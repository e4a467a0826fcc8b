package emulator

// declareCompany declares the tables that incidents refer to.
func (set *schemaSet) declareCompany() {
	set.declare("core_company", "Company", "", "name", `
		name string(80) Name
		city string(50) City
		country string(40) Country
		website url(1024) Website
		vendor boolean Vendor
		num_employees long Number of employees
		market_cap decimal(20) Market cap
		stock_symbol string(40) Stock symbol
	`+systemColumns)
	set.declare("cmn_location", "Location", "", "name", `
		name string(100) Name
		city string(40) City
		country string(40) Country
		street string(255) Street
		latitude float(40) Latitude
		longitude float(40) Longitude
		time_zone string(40) Time zone
		company reference:core_company Company
		parent reference:cmn_location Parent
	`+systemColumns)
	set.declare("cmn_department", "Department", "", "name", `
		name string(100) Name
		id string(40) ID
		dept_head reference:sys_user Department head
		company reference:core_company Company
	`+systemColumns)
	set.declare("sys_user", "User", "", "name", `
		user_name string(40) User ID
		name virtual Name
		first_name string(50) First name
		last_name string(50) Last name
		email email(100) Email
		title string(60) Title
		phone ph_number(40) Business phone
		active boolean Active
		vip boolean VIP
		locked_out boolean Locked out
		web_service_access_only boolean Web service access only
		time_zone string(40) Time zone
		date_format string(40) Date format
		department reference:cmn_department Department
		manager reference:sys_user Manager
		company reference:core_company Company
		location reference:cmn_location Location
		employee_number string(40) Employee number
		last_login_time glide_date_time Last login time
	`+systemColumns, "user_name")
	set.declare("sys_user_group", "Group", "", "name", `
		name string(80) Name
		description string(1000) Description
		active boolean Active
		manager reference:sys_user Manager
		email email(100) Group email
		parent reference:sys_user_group Parent
	`+systemColumns)
	set.declare("sys_user_role", "Role", "", "name", `
		name string(100) Name
		description string(1000) Description
	`+systemColumns, "name")
	set.declare("sys_user_has_role", "User Role", "", "role", `
		user reference:sys_user User
		role reference:sys_user_role Role
		inherited boolean Inherited
		state string(40) State
	`+systemColumns, "user")
	set.declare("cmdb_ci", "Configuration Item", "", "name", `
		name string(255) Name
		sys_class_name sys_class_name(80) Class
		asset_tag string(40) Asset tag
		serial_number string(255) Serial number
		ip_address string(255) IP Address
		operational_status integer+choice Operational status
		install_date glide_date_time Installed
		cost decimal(20) Cost
		location reference:cmn_location Location
		assigned_to reference:sys_user Assigned to
		manufacturer reference:core_company Manufacturer
	`+systemColumns)
	set.declare("cmdb_ci_service", "Service", "cmdb_ci", "", `
		busines_criticality string(40) Business criticality
	`)
	set.declare("service_offering", "Offering", "cmdb_ci_service", "", `
		parent reference:cmdb_ci_service Parent
	`)
	set.declare("ast_contract", "Contract", "", "short_description", `
		number string(40) Number
		short_description string(160) Short description
		vendor reference:core_company Vendor
		starts glide_date Starts
		ends glide_date Ends
	`+systemColumns)
}

// declareRecords declares what hangs on a record: files, journals, deletions.
func (set *schemaSet) declareRecords() {
	set.declare("sys_attachment", "Attachment", "", "file_name", `
		size_bytes integer Size bytes
		file_name string(255) File name
		sys_mod_count integer Updates
		average_image_color color(40) Average image color
		image_width integer Image width
		sys_updated_on glide_date_time Updated
		sys_tags pseudo Tags
		table_name table_name(80) Table name
		sys_id GUID(32) Sys ID
		image_height integer Image height
		sys_updated_by string(40) Updated by
		content_type string(100) Content type
		sys_created_on glide_date_time Created
		size_compressed integer Size compressed
		compressed boolean Compressed
		state string(40)+choice State
		table_sys_id char(32) Table sys ID
		chunk_size_bytes integer Chunk size bytes
		hash string(100) Hash
		sys_created_by string(40) Created by
	`, "table_sys_id")
	set.declare("sys_journal_field", "Journal Entry", "", "element_id", `
		name string(80) Name
		element_id string(32) Element ID
		element string(80) Element
		value string(65536) Value
	`+appendOnlyColumns, "element_id")
	set.declare("sys_audit_delete", "Deleted Record", "", "display_value", `
		tablename table_name(80) Table name
		documentkey string(32) Document key
		display_value string(255) Display value
		payload string(65536) Payload
	`+appendOnlyColumns, "documentkey")
	set.declare("sys_properties", "System Property", "", "name", `
		name string(100) Name
		value string(4000) Value
		type string(40) Type
		description string(512) Description
		is_private boolean Private
	`+systemColumns, "name")
}
